"""FNet is a product with two explicit Fourier matrices."""

import math
from functools import partial

import pytest
import torch

from trainables.models.attention import fnet
from trainables.models.geometry import Geometry

assert_exact = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)
GEOMETRY = Geometry(width=12, heads=1, grid=(2, 3))
N, D = GEOMETRY.tokens, GEOMETRY.width
SCALES = {"forward": N * D, "ortho": math.sqrt(N * D), "backward": 1}


def attention(**config) -> fnet.Attention:
    return fnet.Attention(GEOMETRY, fnet.Config(**config))


def tokens() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def fourier(points: int) -> torch.Tensor:
    index = torch.arange(points, dtype=torch.float64)
    angle = torch.outer(index, index) * (-2 * math.pi / points)
    return torch.complex(angle.cos(), angle.sin())


@pytest.mark.parametrize("norm", SCALES)
def test_equals_the_matrices(norm):
    x = tokens()
    by_matrices = (fourier(N) @ x.to(torch.complex128) @ fourier(D)).real / SCALES[norm]
    mixed = attention(fft_norm=norm)(x)
    assert_exact(mixed, by_matrices)
    weights = torch.randn_like(x)
    ours, theirs = (torch.autograd.grad((y * weights).sum(), x) for y in (mixed, by_matrices))
    assert_exact(ours, theirs)


def test_the_published_norm_is_the_default():
    assert_exact(attention()(tokens()), attention(fft_norm="forward")(tokens()))
    # all energy of a constant stays where frequencies are 0, and of that size
    constant = attention()(torch.ones(1, N, D, dtype=torch.float64))
    assert_exact(constant[0, 0, 0].item(), 1.0)
    assert_exact(constant.abs().sum().item(), 1.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_inputs_in_half_precision(dtype):
    x = torch.full((1, N, D), 6e4, dtype=dtype)
    with torch.autocast("cpu", dtype=dtype):
        mixed = attention()(x)
    assert mixed.dtype == dtype
    assert mixed.isfinite().all()
    torch.testing.assert_close(mixed[0, 0, 0], x[0, 0, 0])


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match=r"fft_norm must be one of forward, ortho, .*'none'"):
        attention(fft_norm="none")
