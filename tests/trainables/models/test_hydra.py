"""Hydra is cosine-kernel attention with as many heads as channels, written without a matrix."""

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import hydra
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=5, grid=(2, 3))  # heads that divide nothing are no matter
N, D = GEOMETRY.tokens, GEOMETRY.width


def attention(**config) -> hydra.Attention:
    torch.manual_seed(0)
    return hydra.Attention(GEOMETRY, hydra.Config(**config)).double()


def by_matrices(module: hydra.Attention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples and channels, each a head with its N x N matrix."""
    mixed = []
    for sample in x:
        q, k, v = module.qkv(sample).chunk(3, dim=1)
        q, k = (t / t.square().sum(dim=1, keepdim=True).sqrt() for t in (q, k))
        heads = [torch.outer(q[:, head], k[:, head]) @ v[:, head] for head in range(D)]
        mixed.append(module.out(torch.stack(heads, dim=1)))
    return torch.stack(mixed)


@pytest.mark.parametrize("qkv_bias", [False, True])
def test_equals_heads_of_one_channel(qkv_bias):
    module = attention(qkv_bias=qkv_bias)
    x = torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)
    ours, theirs = module(x), by_matrices(module, x)
    assert_exact(ours, theirs)
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    gradients = (torch.autograd.grad((y * weights).sum(), sources) for y in (ours, theirs))
    for one, other in zip(*gradients, strict=True):
        assert_exact(one, other)


def test_a_token_of_zeros_is_no_division_by_zero():
    module = attention(qkv_bias=False)
    assert_exact(module(torch.zeros(1, N, D).double())[0], module.out.bias.expand(N, D))


def test_half_precision_holds_the_sum_over_many_tokens():
    width = 64
    module = hydra.Attention(Geometry(width=width, heads=1, grid=(40, 40)), hydra.Config())
    with torch.no_grad():
        module.qkv.weight.zero_()
        module.qkv.bias.copy_(torch.tensor([1.0, 1.0, 500.0]).repeat_interleave(width))
        module.out.weight.copy_(torch.eye(width))
        module.out.bias.zero_()
        with torch.autocast("cpu", dtype=torch.float16):
            mixed = module(torch.zeros(1, 1601, width))
    expected = torch.full(
        (1, 1601, width), 1601 * 500 / width, dtype=torch.float16
    )  # of a sum of 1e5
    torch.testing.assert_close(mixed, expected, rtol=2e-3, atol=0)
