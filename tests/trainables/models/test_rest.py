"""ResT's attention by loops over heads and windows; half precision; its shapes and counts."""

from typing import Any

import pytest
import torch
from torch.nn.functional import layer_norm

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.efficiency.published import counted
from trainables.models.geometry import Geometry
from trainables.models.whole import rest

GRID = (5, 4)
TINY = {"width": 8, "depth_1": 1, "depth_2": 1, "depth_3": 1, "depth_4": 1}


def attention(heads: int, stride: int, *, qkv_bias: bool = True) -> Any:
    torch.manual_seed(0)
    geometry = Geometry(width=6, heads=heads, grid=GRID, prefix=0)
    return rest.EfficientAttention(geometry, stride, qkv_bias=qkv_bias).double()


def tiny(image_size: int) -> Any:
    torch.manual_seed(0)
    return models.build("rest", TINY, image_size=image_size, num_classes=3).eval()


def fewer(module: Any, tokens: torch.Tensor, stride: int) -> torch.Tensor:
    """(N, D) to (M, D), window by window."""
    size, edge = stride + 1, stride // 2
    padded = torch.zeros(GRID[0] + 2 * edge, GRID[1] + 2 * edge, tokens.shape[1]).double()
    padded[edge : edge + GRID[0], edge : edge + GRID[1]] = tokens.unflatten(0, GRID)
    rows = []
    for top in range(0, len(padded) - stride, stride):
        for left in range(0, padded.shape[1] - stride, stride):
            window = padded[top : top + size, left : left + size].permute(2, 0, 1)
            rows.append((window * module.conv.weight[:, 0]).sum(dim=(1, 2)) + module.conv.bias)
    norm = module.norm
    return layer_norm(torch.stack(rows), (6,), norm.weight, norm.bias, eps=1e-5)


def by_loops(module: Any, x: torch.Tensor, stride: int) -> torch.Tensor:
    count, samples = module.heads, []
    for tokens in x:
        less = tokens if stride == 1 else fewer(module.reduced, tokens, stride)
        q = module.q(tokens).chunk(count, dim=1)
        k, v = (part.chunk(count, dim=1) for part in module.kv(less).chunk(2, dim=1))
        logits = [q[h] @ k[h].T / (6 / count) ** 0.5 for h in range(count)]
        heads = []
        for h in range(count):
            if count == 1:
                heads.append(logits[0].softmax(dim=1) @ v[0])
                continue
            mixture, bias = module.mixed.weight[h, :, 0, 0], module.mixed.bias[h]
            weights = (sum(mixture[i] * logits[i] for i in range(count)) + bias).softmax(dim=1)
            variance = weights.var(correction=0)
            heads.append((weights - weights.mean()) / (variance + 1e-5).sqrt() @ v[h])
        samples.append(torch.cat(heads, dim=1))
    return module.out(torch.stack(samples))


@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("qkv_bias", [True, False])
def test_equals_loops_over_heads_and_windows(heads, stride, qkv_bias):
    module = attention(heads, stride, qkv_bias=qkv_bias)
    x = torch.randn(2, 20, 6, dtype=torch.float64, requires_grad=True)
    ours, theirs = module(x), by_loops(module, x, stride)
    assert_exact(ours, theirs)
    sources, weights = [x, *module.parameters()], torch.randn_like(ours)
    assert_exact(
        torch.autograd.grad((ours * weights).sum(), sources),
        torch.autograd.grad((theirs * weights).sum(), sources),
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_many_tokens_in_half_precision(dtype):
    """Weights near 1 / 4096 differ by less than half precision tells apart beside their mean."""
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 2, 64, 8).to(dtype), torch.randn(1, 2, 4096, 8).to(dtype)
    q, mixture, bias = q[0] * 4, torch.eye(2)[..., None, None], torch.full((2,), 9.0)
    expected = rest.normed_weights(q.double(), k.double(), mixture.double(), bias.double())
    with torch.autocast("cpu", dtype=dtype):
        found = rest.normed_weights(q, k, mixture.to(dtype), bias.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=0.01, atol=1e-4)


def test_pixel_attention_weighs_every_position():
    torch.manual_seed(0)
    module: Any = rest.PixelAttention(3).double()
    maps = torch.randn(1, 3, 4, 4, dtype=torch.float64)
    gate = module.gate.bias + (module.gate.weight[:, 0] * maps[0, :, 0:3, 1:4]).sum(dim=(1, 2))
    assert_exact(module(maps)[0, :, 1, 2], maps[0, :, 1, 2] / (1 + (-gate).exp()))


def test_the_head_reads_the_mean_of_the_last_map():
    model = tiny(40)
    seen, outputs = [], []
    for blocks in model.stages:
        blocks.register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
        kv = blocks[0].mix[1].kv
        kv.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0].shape))
    logits = model(torch.randn(2, 3, 40, 40))
    assert [out.shape for out in outputs] == [(2, 100, 8), (2, 25, 16), (2, 9, 32), (2, 4, 64)]
    assert [shape[1] for shape in seen] == [4, 4, 4, 4]  # what is attended to
    torch.testing.assert_close(logits, model.head(model.norm(outputs[3]).mean(dim=1)))


@pytest.mark.parametrize("image_size", [33, 56, 100])
def test_the_planned_tokens_are_those_that_come(image_size):
    logits = tiny(image_size)(torch.randn(1, 3, image_size, image_size))
    assert logits.shape == (1, 3)
    assert logits.isfinite().all()


@pytest.mark.slow
def test_published_counts():
    counts = counted("rest", "ResT-S", 224)
    assert counts.params == 13_679_708
    assert counts.gflops == pytest.approx(2.153, abs=0.001)
    assert not counts.uncounted


def test_all_that_cannot_be_built_is_told_at_once():
    wrong = {"width": 9, "heads": 2, "depth_4": 101, "mlp_ratio": 0.5, "drop_path": -0.1}
    with pytest.raises(ValueError, match="heads=2 must divide width=9") as caught:
        models.build("rest", wrong, image_size=32, num_classes=3)
    message = str(caught.value)
    assert "width must be even, its half is the stem's, given 9" in message
    assert "depth_4 must lie between 1 and 100, given 101" in message
    assert "mlp_ratio must lie between 1 and 16, given 0.5" in message
    assert "drop_path must lie in [0, 1), given -0.1" in message
    assert "ResT needs more than 32 px (such as 56 or 224)" in message
    with pytest.raises(ValueError, match="more than 32 px"):
        tiny(56).rebuilt(32)
