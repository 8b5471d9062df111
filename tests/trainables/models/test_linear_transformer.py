"""The Linear Transformer equals its N x N matrix, which it never makes."""

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import linear_transformer
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=3, grid=(4, 5))
N, D = GEOMETRY.tokens, GEOMETRY.width


def attention() -> linear_transformer.Attention:
    torch.manual_seed(0)
    return linear_transformer.Attention(GEOMETRY, linear_transformer.Config()).double()


def tokens() -> torch.Tensor:
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def kernel(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x + 1, x.exp())


def by_matrices(module: linear_transformer.Attention, x: torch.Tensor) -> torch.Tensor:
    rows = []
    for sample in x @ module.qkv.weight.T + module.qkv.bias:
        heads = []
        for query, key, value in sample.unflatten(1, (3, 3, -1)).permute(2, 1, 0, 3):
            weights = kernel(query) @ kernel(key).T
            heads.append(weights @ value / (weights.sum(dim=1, keepdim=True) + 1e-6))
        rows.append(torch.cat(heads, dim=1) @ module.out.weight.T + module.out.bias)
    return torch.stack(rows)


def test_equals_its_matrix():
    module, x = attention(), tokens()
    assert_exact(module(x), by_matrices(module, x))
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_matrices(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


def test_half_precision_holds_the_sums_over_tokens():
    module, x = attention().float(), 1000 * tokens().detach().float()
    with torch.autocast("cpu", dtype=torch.float16):
        half = module(x)
    assert half.isfinite().all()
    torch.testing.assert_close(half.float(), module(x), rtol=0.02, atol=0.01 * float(x.std()))
    half.float().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_what_cannot_be_built_is_refused():
    uneven = Geometry(width=8, heads=3, grid=(2, 3))
    with pytest.raises(ValueError, match="heads=3 must divide dim=8"):
        linear_transformer.Attention(uneven, linear_transformer.Config())
