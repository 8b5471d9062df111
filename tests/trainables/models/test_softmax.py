"""Softmax attention against the matrices of its equation, in float64."""

import math

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention.softmax import Attention, Config
from trainables.models.geometry import Geometry


def attention(width: int = 12, heads: int = 3, **config) -> Attention:
    torch.manual_seed(0)
    geometry = Geometry(width=width, heads=heads, grid=(2, 3))
    return Attention(geometry, Config(**config)).double()


def tokens(module: Attention, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 7, module.qkv.in_features, dtype=torch.float64, requires_grad=True)


def by_matrices(module: Attention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples and heads; rows of the weight are queries, keys, values, head by head."""
    inner = module.out.in_features
    width = inner // module.heads
    mixed = []
    for sample in x:
        rows = sample @ module.qkv.weight.T
        if module.qkv.bias is not None:
            rows = rows + module.qkv.bias
        heads = []
        for head in range(module.heads):
            at = slice(head * width, (head + 1) * width)
            query, key, value = (rows[:, part * inner :][:, at] for part in range(3))
            scores = query @ key.T / math.sqrt(width)
            weights = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
            heads.append(weights @ value)
        mixed.append(torch.cat(heads, dim=1) @ module.out.weight.T + module.out.bias)
    return torch.stack(mixed)


cases = pytest.mark.parametrize(
    "config", [{}, {"qkv_bias": True}, {"dim_head": 5}, {"heads": 5, "dim_head": 4}]
)


@cases
def test_equals_the_equation(config):
    module = attention(**config)
    x = tokens(module)
    assert_exact(module(x), by_matrices(module, x))


@cases
def test_gradients_equal_those_of_the_equation(config):
    module = attention(**config)
    x = tokens(module)
    sources = [x, *module.parameters()]
    weights = torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_matrices(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


def test_order_of_tokens_does_not_matter():
    module = attention()
    x, order = tokens(module), torch.tensor([3, 0, 6, 1, 5, 2, 4])
    assert_exact(module(x[:, order]), module(x)[:, order])


def test_equal_tokens_stay_equal():
    module = attention()
    x = tokens(module)[:, :1].expand(-1, 7, -1)
    expected = module.out(module.qkv(x)[..., -module.out.in_features :])
    assert_exact(module(x), expected)
