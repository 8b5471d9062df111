"""PolySA is its polynomial, token by token; its weights follow the grid."""

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import polysa
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=3, grid=(2, 3))
N, D, H = GEOMETRY.tokens, GEOMETRY.width, GEOMETRY.heads


def attention(grid: tuple[int, int] = GEOMETRY.grid, **config) -> polysa.Attention:
    torch.manual_seed(0)
    geometry = Geometry(width=D, heads=H, grid=grid)
    return polysa.Attention(geometry, polysa.Config(**config)).double()


def by_tokens(module: polysa.Attention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples, heads and tokens."""
    width, mixed = D // H, []
    for sample in x:
        q, k, v = module.qkv(sample).chunk(3, dim=1)
        heads = []
        for head in range(H):
            at = slice(head * width, (head + 1) * width)
            of_queries, of_keys = module.weights[:, :, head]
            terms = [of_keys[n] * k[n, at] * v[n, at] for n in range(N)]
            total = torch.stack(terms).sum(dim=0)
            centred = total - total.mean()
            unit = centred / (centred.square().mean() + 1e-6).sqrt()
            norm = unit * module.norm.weight + module.norm.bias
            heads.append(torch.stack([of_queries[n] * q[n, at] * norm for n in range(N)]))
        mixed.append(module.out(torch.cat(heads, dim=1)))
    return torch.stack(mixed)


@pytest.mark.parametrize("qkv_bias", [False, True])
def test_equals_the_polynomial(qkv_bias):
    module = attention(qkv_bias=qkv_bias)
    with torch.no_grad():
        module.norm.bias.normal_()
        module.norm.weight.normal_()
    x = torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)
    ours, theirs = module(x), by_tokens(module, x)
    assert_exact(ours, theirs)
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    gradients = (torch.autograd.grad((y * weights).sum(), sources) for y in (ours, theirs))
    for one, other in zip(*gradients, strict=True):
        assert_exact(one, other)


def test_weights_follow_the_grid():
    source, larger = attention((3, 3)), attention((7, 7))
    with torch.no_grad():
        source.weights[:, 1:] = torch.arange(1.0, 7.0).view(2, 1, 3)  # one value a head
    moved = larger.resampled(source)["weights"]
    assert moved.shape == larger.weights.shape
    assert_exact(moved[:, :1], source.weights[:, :1])
    torch.testing.assert_close(moved[:, 1:], source.weights[:, 1:2].expand_as(moved[:, 1:]))
    torch.testing.assert_close(source.resampled(source)["weights"], source.weights)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="heads=5 must divide dim=12"):
        polysa.Attention(Geometry(width=12, heads=5, grid=(2, 3)), polysa.Config())
