"""Wave-ViT's attention by loops over heads and windows; Haar's wavelets; its shapes and counts."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import layer_norm

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.efficiency.published import counted
from trainables.models.geometry import Geometry
from trainables.models.whole import wavevit

WIDTH, HEADS = 8, 2
TINY = {"dim_head": 4, "depth_1": 1, "depth_2": 1, "depth_3": 1, "depth_4": 1}


def attention(grid: tuple[int, int], stride: int) -> Any:
    """In float64 for evaluation, with batch norms that do something."""
    torch.manual_seed(0)
    geometry = Geometry(width=WIDTH, heads=HEADS, grid=grid, prefix=0)
    module: Any = wavevit.WaveletAttention(geometry, stride)
    for norm in (module.reduced[1], module.filtered[1]):
        for values in (norm.weight, norm.running_var):
            nn.init.uniform_(values, 0.5, 2.0)
        for values in (norm.bias, norm.running_mean):
            nn.init.normal_(values)
    return module.double().eval()


def normed(norm: Any, maps: torch.Tensor) -> torch.Tensor:
    """ReLU(BN) of (h, w, D)."""
    centred = (maps - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    return (centred * norm.weight + norm.bias).relu()


def windows(maps: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    """(h, w, D) to (h', w', D, size, size)."""
    return maps.unfold(0, size, stride).unfold(1, size, stride)


def haar(maps: torch.Tensor) -> torch.Tensor:
    """(h, w, C) to (h / 2, w / 2, 4 C): sum and differences of every two by two positions."""
    a, b, c, d = (maps[i::2, j::2] for i in (0, 1) for j in (0, 1))
    bands = (a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d)
    return torch.stack(bands, dim=-1).flatten(2) / 2


def unhaar(bands: torch.Tensor) -> torch.Tensor:
    s, rows, columns, both = bands.unflatten(2, (-1, 4)).unbind(dim=-1)
    whole = torch.zeros(2 * bands.shape[0], 2 * bands.shape[1], s.shape[2]).double()
    whole[::2, ::2] = s + rows + columns + both
    whole[::2, 1::2] = s + rows - columns - both
    whole[1::2, ::2] = s - rows + columns - both
    whole[1::2, 1::2] = s - rows - columns + both
    return whole / 2


def convolved(conv: Any, maps: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    found = torch.einsum("hwdij,odij->hwo", windows(maps, size, stride), conv.weight)
    return found + conv.bias


def by_loops(module: Any, x: torch.Tensor, stride: int) -> torch.Tensor:
    (height, width), samples = module.geometry.grid, []
    for tokens in x:
        maps = tokens.unflatten(0, (height, width))
        maps = normed(module.reduced[1], convolved(module.reduced[0], maps, 1, 1))
        sides = [-(-side // (2 * stride)) * 2 * stride for side in (height, width)]
        padded = torch.zeros(*sides, maps.shape[2]).double()
        padded[:height, :width] = maps
        bands = haar(padded)
        bordered = torch.zeros(bands.shape[0] + 2, bands.shape[1] + 2, WIDTH).double()
        bordered[1:-1, 1:-1] = bands
        bands = normed(module.filtered[1], convolved(module.filtered[0], bordered, 3, 1))
        coarse = convolved(module.coarse, bands, stride, stride).flatten(0, 1)
        q = module.q(tokens).chunk(HEADS, dim=1)
        norm, linear = module.kv
        coarse = layer_norm(coarse, (WIDTH,), norm.weight, norm.bias, eps=1e-5)
        k, v = (part.chunk(HEADS, dim=1) for part in linear(coarse).chunk(2, dim=1))
        logits = [q[h] @ k[h].T / (WIDTH / HEADS) ** 0.5 for h in range(HEADS)]
        heads = [logits[h].softmax(dim=1) @ v[h] for h in range(HEADS)]
        whole = unhaar(bands)[:height, :width].flatten(0, 1)
        samples.append(module.out(torch.cat((*heads, whole), dim=1)))
    return torch.stack(samples)


@pytest.mark.parametrize(
    ("grid", "stride"), [((8, 8), 2), ((8, 8), 4), ((4, 4), 1), ((7, 7), 2), ((9, 9), 4)]
)
def test_equals_loops_over_heads_and_windows(grid, stride):
    module = attention(grid, stride)
    x = torch.randn(2, grid[0] * grid[1], WIDTH, dtype=torch.float64, requires_grad=True)
    ours, theirs = module(x), by_loops(module, x, stride)
    assert_exact(ours, theirs)
    sources, weights = [x, *module.parameters()], torch.randn_like(ours)
    assert_exact(
        torch.autograd.grad((ours * weights).sum(), sources),
        torch.autograd.grad((theirs * weights).sum(), sources),
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_the_wavelets_are_orthonormal_in_every_precision(dtype):
    haar = attention((8, 8), 2).to(dtype).haar[:4].flatten(1)
    torch.testing.assert_close(haar @ haar.T, torch.eye(4, dtype=dtype), rtol=0, atol=0)


def test_hidden_channels_meet_their_neighbours_only():
    torch.manual_seed(0)
    feed = wavevit.ConvMLP(Geometry(width=4, heads=1, grid=(4, 5), prefix=0), 6, 0.0).double()
    x = torch.randn(1, 20, 4, dtype=torch.float64)
    window = feed.widen(x[0]).unflatten(0, (4, 5))[0:3, 2:5]
    hidden = feed.local.bias + (window.permute(2, 0, 1) * feed.local.weight[:, 0]).sum(dim=(1, 2))
    assert_exact(feed(x)[0, 1 * 5 + 3], feed.narrow[2](nn.functional.gelu(hidden)))


def test_the_class_token_begins_as_the_mean_of_the_last_map():
    torch.manual_seed(0)
    model: Any = models.build("wavevit", TINY, image_size=72, num_classes=3).double().eval()
    outputs = []
    for stage in model.stages:
        stage.register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
    logits = model(torch.randn(2, 3, 72, 72, dtype=torch.float64))
    sides = (18, 9, 5, 3)
    assert [out.shape for out in outputs] == [
        (2, side**2, heads * 4) for side, heads in zip(sides, (2, 4, 10, 14), strict=True)
    ]
    x = torch.cat((outputs[3].mean(dim=1, keepdim=True), outputs[3]), dim=1)
    block = model.class_block
    norm, attend = block.mix[0], block.mix[1]
    q, (k, v) = attend.q(norm(x[:, :1])), attend.kv(norm(x)).chunk(2, dim=2)
    q, k, v = (part.unflatten(2, (14, 4)).transpose(1, 2) for part in (q, k, v))
    found = (q @ k.transpose(2, 3) / 2).softmax(dim=3) @ v
    token = x[:, :1] + attend.out(found.transpose(1, 2).flatten(2))
    token = token + block.feed[1](block.feed[0](token))
    assert_exact(logits, model.head(model.norms[-1](token[:, 0])))


@pytest.mark.parametrize("image_size", [1, 8, 32, 56, 100, 224, 384])
def test_every_image_size(image_size):
    with torch.device("meta"):
        model = models.build("wavevit", TINY, image_size=image_size, num_classes=3).eval()
        assert model(torch.zeros(1, 3, image_size, image_size)).shape == (1, 3)


@pytest.mark.slow
def test_published_counts():
    counts = counted("wavevit", "WaveViT-S", 224)
    assert counts.params == 22_241_176
    assert counts.gflops == pytest.approx(4.728, abs=0.003)
    assert not counts.uncounted


def test_all_that_cannot_be_built_is_told_at_once():
    wrong = {"dim_head": 5, "depth_3": 0, "mlp_scale": 0.0, "drop_path": 1.0}
    with pytest.raises(ValueError, match="dim_head must be even, given 5") as caught:
        models.build("wavevit", wrong, image_size=56, num_classes=3)
    message = str(caught.value)
    assert "depth_3 must lie between 1 and 100, given 0" in message
    assert "mlp_scale must lie between 0.25 and 4, given 0.0" in message
    assert "drop_path must lie in [0, 1), given 1.0" in message
