"""CvT's attention by loops over heads and windows; its shapes, counts and class token."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.efficiency.published import counted
from trainables.models.geometry import Geometry
from trainables.models.whole import cvt

GRID = (5, 4)
TINY = {"width": 8, "heads": 2, "depth_3": 2, "mlp_ratio": 2.0}


def shuffled(module: nn.Module) -> Any:
    """In float64 for evaluation, with batch norms that do something."""
    for name, values in [*module.named_parameters(), *module.named_buffers()]:
        if name.endswith(("norm.weight", "running_var")):
            nn.init.uniform_(values, 0.5, 2.0)
        elif name.endswith(("norm.bias", "running_mean")):
            nn.init.normal_(values)
    return module.double().eval()


def attention(prefix: int, **config) -> Any:
    torch.manual_seed(0)
    geometry = Geometry(width=6, heads=2, grid=GRID, prefix=prefix)
    return shuffled(cvt.ConvAttention(geometry, cvt.Config(**config)))


def tiny(image_size: int) -> Any:
    torch.manual_seed(0)
    return models.build("cvt", TINY, image_size=image_size, num_classes=3).eval()


def projected(module: Any, tokens: torch.Tensor, stride: int) -> torch.Tensor:
    """(N, D) to (N', D), window by window."""
    norm, prefix = module.norm, len(tokens) - GRID[0] * GRID[1]
    padded = torch.zeros(GRID[0] + 2, GRID[1] + 2, tokens.shape[1]).double()
    padded[1:-1, 1:-1] = tokens[prefix:].unflatten(0, GRID)
    rows = [tokens[:prefix]]
    for top in range(0, GRID[0], stride):
        for left in range(0, GRID[1], stride):
            window = padded[top : top + 3, left : left + 3].permute(2, 0, 1)
            found = (window * module.local.weight[:, 0]).sum(dim=(1, 2))
            centred = (found - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
            rows.append((centred * norm.weight + norm.bias)[None])
    return module.linear(torch.cat(rows))


def by_loops(module: Any, x: torch.Tensor, stride: int, scale: float) -> torch.Tensor:
    samples = []
    for tokens in x:
        q = projected(module.q, tokens, 1)
        k, v = (projected(part, tokens, stride) for part in (module.k, module.v))
        heads = []
        for head in (slice(0, 3), slice(3, 6)):
            weights = (q[:, head] @ k[:, head].T * scale).softmax(dim=1)
            heads.append(weights @ v[:, head])
        samples.append(torch.cat(heads, dim=1))
    return module.out(torch.stack(samples))


@pytest.mark.parametrize("prefix", [0, 1])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("faithful", "scale"), [(False, 3**-0.5), (True, 6**-0.5)])
def test_equals_loops_over_heads_and_windows(prefix, stride, faithful, scale):
    module = attention(prefix, kv_stride=stride, faithful=faithful)
    x = torch.randn(2, prefix + 20, 6, dtype=torch.float64, requires_grad=True)
    ours, theirs = module(x), by_loops(module, x, stride, scale)
    assert_exact(ours, theirs)
    sources, weights = [x, *module.parameters()], torch.randn_like(ours)
    assert_exact(
        torch.autograd.grad((ours * weights).sum(), sources),
        torch.autograd.grad((theirs * weights).sum(), sources),
    )


def test_the_scale_is_all_that_faithful_changes():
    one, other = attention(1), attention(1, faithful=True)
    x = torch.randn(2, 21, 6, dtype=torch.float64)
    assert not torch.allclose(one(x), other(x))
    other.q.linear.load_state_dict({k: v * 2**0.5 for k, v in other.q.linear.state_dict().items()})
    assert_exact(one(x), other(x))  # D = 2 E


def test_the_head_reads_the_class_token_which_only_the_last_stage_has():
    model = tiny(40)
    seen, outputs = [], []
    for blocks in model.blocks:
        blocks.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0].shape))
    model.blocks[2].register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
    logits = model(torch.randn(2, 3, 40, 40))
    assert seen == [(2, 100, 8), (2, 25, 24), (2, 1 + 9, 48)]
    torch.testing.assert_close(logits, model.head(model.norm(outputs[0][:, 0])))


@pytest.mark.slow
@pytest.mark.parametrize("image_size", [3, 4, 31, 56, 100, 224, 384])
def test_the_planned_tokens_are_those_that_come(image_size):
    with torch.device("meta"):
        assert tiny(image_size)(torch.zeros(1, 3, image_size, image_size)).shape == (1, 3)


@pytest.mark.slow
def test_published_counts():
    counts = counted("cvt", "CvT-13", 224)
    assert counts.params == 19_997_480
    assert counts.gflops == pytest.approx(4.65, abs=0.02)
    assert not counts.uncounted


def test_all_that_cannot_be_built_is_told_at_once():
    wrong = {"width": 9, "heads": 2, "depth_2": 0, "kv_stride": 0, "dropout": 1.0}
    with pytest.raises(ValueError, match="heads=2 must divide width=9") as caught:
        models.build("cvt", wrong, image_size=2, num_classes=3)
    message = str(caught.value)
    assert "depth_2 must lie between 1 and 100, given 0" in message
    assert "kv_stride must lie between 1 and 16, given 0" in message
    assert "dropout must lie in [0, 1), given 1.0" in message
    assert "CvT needs at least 3 px (such as 56 or 224), given 2" in message
    with pytest.raises(ValueError, match="at least 3 px"):
        tiny(56).rebuilt(2)
