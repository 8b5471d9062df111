"""EViT is a loop over images that really leaves tokens out, at a rate that falls in training."""

from functools import partial
from math import ceil, sqrt
from typing import Any

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.efficiency.count import count
from trainables.models.attention import softmax
from trainables.models.block import MLP, Branch, Layers
from trainables.models.geometry import Geometry
from trainables.models.reduction import evit
from trainables.models.schedule import set_progress

GEOMETRY = Geometry(width=12, heads=3, grid=(3, 4))
N, D, H = GEOMETRY.tokens, GEOMETRY.width, GEOMETRY.heads
DEPTH, REDUCING = 4, {1, 2, 3}


def layers(geometry: Geometry = GEOMETRY, **changes: Any) -> Layers:
    branch = Branch(width=D, dropout=0.0, drop_path=0.0, layer_scale=None, norm_eps=1e-6)
    mixer = partial(softmax.Attention, geometry, softmax.Config(qkv_bias=True))
    feed = partial(MLP, D, 2 * D, 0.0)
    return Layers(geometry=geometry, branches=[branch] * DEPTH, mixer=mixer, feed=feed, **changes)


def trunk(**config: Any) -> Any:
    torch.manual_seed(0)
    return evit.Trunk(layers(), evit.Config(**config)).double()


def tokens() -> torch.Tensor:
    return 3 * torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def attended(block: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of one image's (N, D): the tokens after attention, and the class token's attention."""
    mixed, rows = [], []
    for q, k, v in block.mixer.qkv(block.norm(x)).unflatten(1, (3, H, -1)).permute(2, 1, 0, 3):
        weights = (q @ k.T / sqrt(D // H)).softmax(dim=1)
        mixed.append(weights @ v)
        rows.append(weights[0])
    return x + block.mixer.out(torch.cat(mixed, dim=1)), sum(rows, torch.zeros(())) / H


def by_loops(module: Any, image: torch.Tensor, rate: float, fuse: bool) -> torch.Tensor:
    for index, block in enumerate(module.blocks):
        image, attention = attended(block, image)
        ranked = sorted(range(1, len(image)), key=attention.tolist().__getitem__, reverse=True)
        if index in REDUCING and rate < 1:
            kept = ceil(rate * len(ranked))
            rows = [image[j] for j in (0, *ranked[:kept])]
            if fuse:
                others = [attention[j] * image[j] for j in ranked[kept:]]
                rows.append(sum(others, torch.zeros(D)))
            image = torch.stack(rows)
        image = image + block.feed(image)
    return image


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("rate", "fuse"), [(0.7, False), (0.7, True), (0.25, True), (1.0, True)])
def test_equals_a_loop_over_images(rate, fuse, training):
    module, x = trunk(keep_rate=rate, fuse=fuse).train(training), tokens()
    expected = torch.stack([by_loops(module, image, rate, fuse) for image in x])
    assert_exact(module(x), expected)
    weights, sources = torch.randn_like(expected), [x, *module.parameters()]
    ours, theirs = (
        torch.autograd.grad((y * weights).sum(), sources) for y in (module(x), expected)
    )
    assert_exact(ours, theirs)


@pytest.mark.parametrize(
    ("fuse", "lengths"), [(False, [13, 9 + 1, 7 + 1, 5 + 1]), (True, [13, 10 + 1, 8 + 1, 7 + 1])]
)
def test_later_blocks_see_fewer_tokens(fuse, lengths):
    module, seen = trunk(fuse=fuse), []
    for block in module.blocks:
        block.feed.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    module(tokens())
    assert seen == lengths


def test_the_rate_falls_along_a_cosine():
    module = trunk(keep_rate=0.5, shrink_start=0.25, shrink_share=0.5)
    assert module.rate() == 0.5  # nobody trains it
    for progress, rate in [(0, 1), (0.25, 1), (0.375, 0.75 + sqrt(0.125) / 2), (0.5, 0.75)]:
        set_progress(module, progress)
        assert module.rate() == pytest.approx(rate)
    for training in (False, True):
        assert module.train(training)(tokens()).shape[1] == 6 + 1  # 12, of which 9, 7, 6
    set_progress(module, 0.75)
    assert module.rate() == 0.5


def test_a_schedule_without_length_is_a_jump():
    module = trunk(keep_rate=0.5, shrink_start=0.25, shrink_share=0.0)
    set_progress(module, 0.2)
    assert module.rate() == 1
    set_progress(module, 0.25)
    assert module.rate() == 0.5


@pytest.mark.parametrize(
    ("depth", "blocks"), [(12, {3, 6, 9}), (4, {1, 2, 3}), (2, {0, 1}), (1, {0})]
)
def test_stages_are_spread_over_every_depth(depth, blocks):
    shape = {"depth": depth, "dim": 8, "heads": 2, "grid": 2, "stages": 3}
    model: Any = models.build("evit", shape, image_size=8, num_classes=2)
    assert model.blocks.reducing == blocks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "fuse", "gflops"), [(0.7, False, 3.032), (0.7, True, 3.065), (0.9, False, 4.036)]
)
def test_operations_at_the_rates_of_the_paper(rate, fuse, gflops):
    params = {**models.published("evit")["EViT-S/16"], "keep_rate": rate, "fuse": fuse}
    with torch.device("meta"):
        model = models.build("evit", params, image_size=224, num_classes=1000)
    assert count(model, 224).gflops == pytest.approx(gflops, abs=0.003)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_scores_in_half_precision(dtype):
    q, k = torch.full((2, 1, 2, 5, 64), 300.0, dtype=dtype)  # of q k 5,760,000
    with torch.autocast("cpu", dtype=dtype):
        attention = evit.class_attention(q, k)
    torch.testing.assert_close(attention, torch.full((1, 4), 0.2, dtype=dtype))


def test_all_that_cannot_be_built_is_told_at_once():
    geometry = Geometry(width=D, heads=H, grid=(3, 4), prefix=0)
    with pytest.raises(ValueError, match="class_token must be True and class_depth 0") as caught:
        evit.Trunk(layers(geometry, block="post_norm"), evit.Config())
    assert "block must be 'pre_norm', given 'post_norm'" in str(caught.value)


def test_all_wrong_values_are_told_at_once():
    wrong = evit.Config(keep_rate=0.0, stages=0, shrink_start=0.6, shrink_share=0.5)
    assert wrong.mistakes(224) == [
        "keep_rate must lie in (0, 1], given 0.0",
        "stages must be at least 1, given 0",
        "shrink_start and shrink_share must be at least 0 and together at most 1, "
        "given 0.6 and 0.5",
    ]
    assert evit.Config(shrink_start=0.3, shrink_share=0.7).mistakes(224) == []
