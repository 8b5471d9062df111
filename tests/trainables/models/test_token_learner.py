"""TokenLearner is a loop over learned tokens between two plain trunks."""

from typing import Any

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.efficiency.count import count

pytestmark = pytest.mark.usefixtures("one_thread")
SHELL = {"depth": 4, "dim": 8, "heads": 2, "grid": 3, "layer_scale": 0.5}


def trunk(**params) -> Any:
    torch.manual_seed(0)
    sizes = {"image_size": 12, "num_classes": 3}
    return models.build("token_learner", SHELL | {"learned_tokens": 5} | params, **sizes).blocks


def by_loops(module: Any, x: torch.Tensor, second: Any) -> torch.Tensor:
    norm, up, gelu, _, down = module.learner.weigh
    x = module.first(x)
    samples = []
    for sample in x:
        tokens = [sample[0]]
        for learned in range(down.out_features):
            logits = [down(gelu(up(norm(patch))))[learned].exp() for patch in sample[1:]]
            weights = torch.stack(logits) / sum(logits)
            tokens.append((weights.unsqueeze(1) * sample[1:]).sum(dim=0))
        samples.append(torch.stack(tokens))
    return second(torch.stack(samples))


@pytest.mark.parametrize("faithful", [False, True])
def test_equals_loops_with_gradients(faithful):
    module = trunk(faithful=faithful).double()
    x = torch.randn(2, 10, 8, dtype=torch.float64, requires_grad=True)
    second = module.first if faithful else module.second
    expected = by_loops(module, x, second)
    assert module(x).shape == (2, 6, 8)
    assert_exact(module(x), expected)
    sources, weights = [x, *module.parameters()], torch.randn_like(expected)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    assert_exact(ours, torch.autograd.grad((expected * weights).sum(), sources))


@pytest.mark.parametrize(
    ("depth", "share", "before"), [(4, 0.5, 2), (12, 0.75, 9), (1, 0.5, 0), (3, 1.0, 2), (3, 0, 1)]
)
def test_blocks_behind_see_the_learned_tokens_alone(depth, share, before):
    module, seen = trunk(depth=depth, insert_share=share), []
    for block in (*module.first, *module.second):
        block.register_forward_hook(lambda _module, given, _out: seen.append(given[0].shape[1]))
    module(torch.randn(2, 10, 8))
    assert seen == [10] * before + [6] * (depth - before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("share", "gflops", "faithful_gflops", "faithful_params"),
    [(0.5, 2.575, 2.575, 12_012_528), (0.75, 3.676, 3.773, 17_338_224)],
)
def test_published_counts(share, gflops, faithful_gflops, faithful_params):
    name = f"Token Learner-8-{100 * share:.0f}-S/16"
    published = {**models.published("token_learner")[name]}
    for faithful, expected in ((False, gflops), (True, faithful_gflops)):
        params = published | {"faithful": faithful}
        with torch.device("meta"):
            model = models.build("token_learner", params, image_size=224, num_classes=1000)
        counts = count(model, 224)
        assert counts.gflops == pytest.approx(expected, abs=0.001)
        assert counts.params == (faithful_params if faithful else 22_663_920)


def test_all_that_cannot_be_built_is_told_at_once():
    with pytest.raises(ValueError, match="learned_tokens=10 must lie between 1 and the 9") as told:
        trunk(learned_tokens=10, depth=1, faithful=True, class_depth=1)
    assert "class_token must be True and class_depth 0" in str(told.value)
    assert "depth must be at least 2" in str(told.value)
    with pytest.raises(ValueError, match=r"insert_share must lie in \[0, 1\], given 1.5"):
        trunk(insert_share=1.5)
