"""AFNO is a complex network applied to every frequency, block by block."""

from functools import partial

import pytest
import torch

from trainables.models.attention import afno
from trainables.models.geometry import Geometry

assert_exact = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)
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

    weight = torch.complex(module.weight[:, 0], module.weight[:, 1])
    bias = torch.complex(module.bias[:, 0], module.bias[:, 1])
    samples = []
    for sample in torch.fft.fft2(x.unflatten(1, GRID), dim=(1, 2), norm="ortho"):
        rows = []
        for spectrum in sample[:, : GRID[1] // 2 + 1].flatten(0, 1):
            blocks = []
            for index, values in enumerate(spectrum.chunk(weight.shape[1])):
                hidden = both(torch.relu, values @ weight[0, index] + bias[0, index])
                blocks.append(both(shrunk, hidden @ weight[1, index] + bias[1, index]))
            rows.append(torch.cat(blocks))
        samples.append(torch.stack(rows).unflatten(0, (GRID[0], -1)))
    out = torch.fft.irfft2(torch.stack(samples), s=GRID, dim=(1, 2), norm="ortho")
    return out.flatten(1, 2)


@pytest.mark.parametrize("blocks", [1, 3, 12])
@pytest.mark.parametrize("sparsity", [0.0, 0.2])
def test_equals_the_complex_network(blocks, sparsity):
    module = attention(blocks, sparsity=sparsity)
    x = torch.randn(2, 12, D, dtype=torch.float64, requires_grad=True)
    assert_exact(module(x), by_frequency(module, x))
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_frequency(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


def test_the_threshold_empties_the_spectrum():
    x = torch.randn(1, 12, D, dtype=torch.float64)
    assert attention(3, sparsity=0.0)(x).abs().min() > 0
    assert not attention(3, sparsity=100.0)(x).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_inputs_in_half_precision(dtype):
    module, x = attention(3).float(), torch.full((1, 12, D), 6e4)
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
