"""GFNet is a circular convolution of every channel, as large as the grid."""

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import gfnet
from trainables.models.geometry import Geometry

D = 4


def attention(*grid: int) -> gfnet.Attention:
    torch.manual_seed(0)
    geometry = Geometry(width=D, heads=1, grid=grid, prefix=0)
    return gfnet.Attention(geometry, gfnet.Config()).double()


def convolved(module: gfnet.Attention, x: torch.Tensor) -> torch.Tensor:
    """The filter's answer to a single patch, shifted to every patch and weighted by its value."""
    h, w = module.grid
    single = torch.zeros(h, w, D, dtype=torch.float64)
    single[0, 0] = 1
    answer = torch.fft.irfft2(
        torch.fft.rfft2(single, dim=(0, 1)) * torch.view_as_complex(module.filter),
        s=(h, w),
        dim=(0, 1),
    )
    maps, out = x.unflatten(1, (h, w)), torch.zeros(len(x), h, w, D, dtype=torch.float64)
    for i in range(h):
        for j in range(w):
            out = out + maps[:, i, j, None, None] * answer.roll((i, j), dims=(0, 1))
    return out.flatten(1, 2)


@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (2, 7)])
def test_equals_the_circular_convolution(grid):
    module = attention(*grid)
    x = torch.randn(2, grid[0] * grid[1], D, dtype=torch.float64, requires_grad=True)
    assert_exact(module(x), convolved(module, x))
    sources, weights = (x, module.filter), torch.randn_like(x)
    ours, theirs = (
        torch.autograd.grad((y * weights).sum(), sources) for y in (module(x), convolved(module, x))
    )
    assert_exact(ours, theirs)


def test_a_filter_of_ones_changes_nothing():
    module, x = attention(5, 4), torch.randn(2, 20, D, dtype=torch.float64)
    with torch.no_grad():
        module.filter.copy_(torch.tensor([1.0, 0.0]).expand_as(module.filter))
    assert_exact(module(x), x)


def test_a_filter_follows_the_grid():
    small, large = attention(4, 4), attention(6, 6)
    assert large.filter.shape == (6, 4, D, 2)
    assert_exact(small.resampled(small)["filter"], small.filter.data)
    with torch.no_grad():
        small.filter.copy_(torch.tensor([0.3, -0.2]).expand_as(small.filter))
    new = large.resampled(small)["filter"]
    torch.testing.assert_close(new, torch.tensor([0.3, -0.2]).double().expand_as(new))
    with torch.no_grad():  # linear in the horizontal frequency, the same for all others
        small.filter.copy_(torch.arange(3.0)[:, None, None].expand_as(small.filter))
    new = large.resampled(small)["filter"]
    expected = torch.tensor([0.0, 0.625, 1.375, 2.0]).double()[:, None, None].expand_as(new)
    torch.testing.assert_close(new, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_inputs_in_half_precision(dtype):
    module, x = attention(7, 7).float(), torch.full((1, 49, D), 6e4, dtype=dtype)
    with torch.no_grad():
        module.filter.copy_(torch.tensor([1.0, 0.0]).expand_as(module.filter))
    with torch.autocast("cpu", dtype=dtype):  # a constant's spectrum alone exceeds 65,504
        torch.testing.assert_close(module(x), x)


def test_a_class_token_is_refused():
    geometry = Geometry(width=D, heads=1, grid=(2, 2))
    with pytest.raises(ValueError, match="class_token must be False or class_depth at least 1"):
        gfnet.Attention(geometry, gfnet.Config())
