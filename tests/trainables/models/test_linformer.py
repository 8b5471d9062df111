"""Linformer is exact softmax attention where nothing is shortened, and its equation elsewhere."""

import math
from functools import partial

import pytest
import torch

from trainables.models.attention import linformer, softmax
from trainables.models.geometry import Geometry

assert_exact = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)
GEOMETRY = Geometry(width=12, heads=3, grid=(2, 3))
N, D = GEOMETRY.tokens, GEOMETRY.width


def attention(k_dim: int, **config) -> linformer.Attention:
    torch.manual_seed(0)
    module = linformer.Attention(GEOMETRY, linformer.Config(k_dim=k_dim, **config))
    return module.double()


def tokens() -> torch.Tensor:
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def by_matrices(module: linformer.Attention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples and heads of equation 7."""
    width, mixed = D // module.heads, []
    for sample in x:
        query = sample @ module.q.weight.T
        key = sample @ module.kv.weight[:D].T
        value = key if module.shared_kv else sample @ module.kv.weight[D:].T
        key, value = module.projection[0] @ key, module.projection[-1] @ value
        heads = []
        for head in range(module.heads):
            at = slice(head * width, (head + 1) * width)
            scores = query[:, at] @ key[:, at].T / math.sqrt(width)
            weights = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
            heads.append(weights @ value[:, at])
        mixed.append(torch.cat(heads, dim=1) @ module.out.weight.T + module.out.bias)
    return torch.stack(mixed)


def equal_softmax(module: linformer.Attention) -> softmax.Attention:
    """Softmax attention with the same weights."""
    other = softmax.Attention(GEOMETRY, softmax.Config()).double()
    queries, keys_values = module.q.weight, module.kv.weight
    values = keys_values[-D:]  # of shared_kv the keys themselves
    other.load_state_dict(
        {
            "qkv.weight": torch.cat((queries, keys_values[:D], values)),
            "out.weight": module.out.weight,
            "out.bias": module.out.bias,
        }
    )
    return other


@pytest.mark.parametrize("shared_kv", [False, True])
def test_nothing_shortened_is_softmax_attention(shared_kv):
    module, x = attention(N, shared_kv=shared_kv), tokens()
    other = equal_softmax(module)
    assert not torch.allclose(module(x), other(x))
    with torch.no_grad():
        module.projection.copy_(torch.eye(N).expand_as(module.projection))
    assert_exact(module(x), other(x))
    weights = torch.randn_like(x)
    ours, theirs = (torch.autograd.grad((m(x) * weights).sum(), x) for m in (module, other))
    assert_exact(ours, theirs)


cases = pytest.mark.parametrize(
    ("k_dim", "config"),
    [
        (1, {}),
        (3, {}),
        (3, {"shared_kv": True}),
        (N, {}),
        (N + 4, {"faithful": True}),
        (N + 4, {"faithful": True, "shared_kv": True}),
    ],
)


@cases
def test_equals_the_equation(k_dim, config):
    module, x = attention(k_dim, **config), tokens()
    assert_exact(module(x), by_matrices(module, x))


@cases
def test_gradients_equal_those_of_the_equation(k_dim, config):
    module, x = attention(k_dim, **config), tokens()
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_matrices(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


@pytest.mark.parametrize(("shared_kv", "lengths"), [(False, 2), (True, 1)])
def test_weights_of_a_layer(shared_kv, lengths):
    module = attention(4, shared_kv=shared_kv)
    assert module.projection.shape == (lengths, 4, N)
    assert module.kv.weight.shape == (lengths * D, D)
    assert module.projection.abs().max() <= 4**-0.5
    assert (module.q.bias, module.kv.bias) == (None, None)
