"""AFNO is a complex network applied to every frequency, block by block."""

from typing import Any

import pytest
import torch
from torch.nn.functional import conv2d, gelu, layer_norm

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.models.attention import afno
from trainables.models.geometry import Geometry

D, GRID = 12, (3, 4)
GEOMETRY = Geometry(width=D, heads=1, grid=GRID, prefix=0)


def attention(blocks: int, **config) -> afno.Attention:
    torch.manual_seed(0)
    module = afno.Attention(GEOMETRY, afno.Config(blocks=blocks, **config)).double()
    with torch.no_grad():
        for parameter in module.parameters():  # large enough to pass the threshold
            parameter.mul_(10)
    return module


def both(function, values: torch.Tensor) -> torch.Tensor:
    """`function` of the real and of the imaginary part."""
    return torch.complex(function(values.real), function(values.imag))


def by_frequency(module: afno.Attention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples, frequencies and blocks in complex numbers."""

    def shrunk(values: torch.Tensor) -> torch.Tensor:
        return values.sign() * (values.abs() - module.sparsity).clamp(min=0)

    grid = module.grid
    weight = torch.complex(module.weight[:, 0], module.weight[:, 1])
    bias = torch.complex(module.bias[:, 0], module.bias[:, 1])
    samples = []
    for sample in torch.fft.fft2(x.unflatten(1, grid), dim=(1, 2), norm="ortho"):
        rows = []
        for spectrum in sample[:, : grid[1] // 2 + 1].flatten(0, 1):
            blocks = []
            for index, values in enumerate(spectrum.chunk(weight.shape[1])):
                hidden = both(torch.relu, values @ weight[0, index] + bias[0, index])
                blocks.append(both(shrunk, hidden @ weight[1, index] + bias[1, index]))
            rows.append(torch.cat(blocks))
        samples.append(torch.stack(rows).unflatten(0, (grid[0], -1)))
    out = torch.fft.irfft2(torch.stack(samples), s=grid, dim=(1, 2), norm="ortho").flatten(1, 2)
    return out if module.faithful else out + x


@pytest.mark.parametrize("blocks", [1, 3, 12])
@pytest.mark.parametrize("sparsity", [0.0, 0.2])
@pytest.mark.parametrize("faithful", [False, True])
def test_equals_the_complex_network(blocks, sparsity, faithful):
    module = attention(blocks, sparsity=sparsity, faithful=faithful)
    x = torch.randn(2, 12, D, dtype=torch.float64, requires_grad=True)
    assert_exact(module(x), by_frequency(module, x))
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_frequency(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


def network(model: Any, images: torch.Tensor, *, pooled_first: bool) -> torch.Tensor:
    """The whole network of two blocks by its equations."""
    state = dict(model.named_parameters())

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return layer_norm(x, (D,), weight, bias, eps=1e-6)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    x = conv2d(images, state["embed.weight"], state["embed.bias"], stride=4)
    x = x.flatten(2).transpose(1, 2) + state["position"]
    for index, block in enumerate(model.blocks):
        mixed = by_frequency(block.mix[1], norm(x, f"blocks.{index}.mix.0"))
        x = x + state[f"blocks.{index}.mix.3.gamma"] * mixed
        hidden = gelu(linear(norm(x, f"blocks.{index}.feed.0"), f"blocks.{index}.feed.1.0"))
        mapped = linear(hidden, f"blocks.{index}.feed.1.3")
        x = x + state[f"blocks.{index}.feed.3.gamma"] * mapped
    read = norm(x.mean(dim=1), "norm") if pooled_first else norm(x, "norm").mean(dim=1)
    return linear(read, "head")


@pytest.mark.parametrize("faithful", [False, True])
def test_norms_residuals_and_head_stand_where_they_should(faithful):
    published = models.published("afno")
    assert all(row["faithful"] for row in published.values())
    own = {"depth": 2, "dim": D, "blocks": 3, "patch": 4, "layer_scale": 0.7, "faithful": faithful}
    params = {**published["AFNO-S/16"], **own}
    torch.manual_seed(0)
    model: Any = models.build("afno", params, image_size=16, num_classes=3).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    ours, theirs = model(images), network(model, images, pooled_first=faithful)
    assert_exact(ours, theirs)
    sources, weights = list(model.parameters()), torch.randn_like(ours)
    gradients = [torch.autograd.grad((y * weights).sum(), sources) for y in (ours, theirs)]
    assert_exact(*gradients)


def test_the_threshold_empties_the_spectrum():
    x = torch.randn(1, 12, D, dtype=torch.float64)
    assert attention(3, sparsity=0.0, faithful=True)(x).abs().min() > 0
    assert not attention(3, sparsity=100.0, faithful=True)(x).any()
    assert_exact(attention(3, sparsity=100.0)(x), x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_inputs_in_half_precision(dtype):
    module, x = attention(3, faithful=True).float(), torch.full((1, 12, D), 6e4)
    with torch.no_grad():
        module.weight.mul_(0.01)
        expected = module(x)
    with torch.autocast("cpu", dtype=dtype):
        mixed = module(x.to(dtype))
    assert mixed.dtype == dtype
    torch.testing.assert_close(mixed.float(), expected, rtol=0.02, atol=0.02 * expected.abs().max())


def test_all_that_cannot_be_built_is_told_at_once():
    geometry = Geometry(width=D, heads=1, grid=GRID)
    with pytest.raises(ValueError, match=r"blocks=5 must divide dim=12") as caught:
        afno.Attention(geometry, afno.Config(blocks=5, sparsity=-1.0))
    assert "sparsity must be at least 0, given -1.0" in str(caught.value)
    assert "class_token must be False" in str(caught.value)
