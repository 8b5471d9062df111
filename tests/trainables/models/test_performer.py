"""Performer equals its matrix of feature products, and softmax attention in the mean."""

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import performer, softmax
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=3, grid=(2, 3))
N, D = GEOMETRY.tokens, GEOMETRY.width


def attention(features: int) -> performer.Attention:
    torch.manual_seed(0)
    return performer.Attention(GEOMETRY, performer.Config(features=features)).double()


def tokens() -> torch.Tensor:
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def by_matrices(module: performer.Attention, x: torch.Tensor) -> torch.Tensor:
    """The whole N x N matrix of every sample and head, with 1/√m and each token's own feature."""
    rows, m = [], len(module.directions)
    for sample in x @ module.qkv.weight.T + module.qkv.bias:
        heads = []
        for query, key, value in sample.unflatten(1, (3, 3, -1)).permute(2, 1, 0, 3):
            shifted = []
            for tensor in (query, key):
                scaled = tensor / (D // 3) ** 0.25
                norm = scaled.norm(dim=1)[:, None]
                shifted.append((scaled @ module.directions.T, (-(norm**2) / 2).exp()))
            (query, of_query), (key, of_key) = shifted
            # what is taken off both in numerator and denominator has no part in the gradient
            largest = query.detach().max(dim=1, keepdim=True).values
            query = (of_query * (query - largest).exp() + 1e-4) / m**0.5
            key = (of_key * (key - key.detach().max()).exp() + 1e-4) / m**0.5
            weights = query @ key.T
            heads.append(weights / weights.sum(dim=1, keepdim=True) @ value)
        rows.append(torch.cat(heads, dim=1) @ module.out.weight.T + module.out.bias)
    return torch.stack(rows)


@pytest.mark.parametrize("features", [1, 4, 11])
def test_equals_its_matrix(features):
    module, x = attention(features), tokens()
    assert_exact(module(x), by_matrices(module, x))
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_matrices(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


def test_a_token_lost_beside_the_floor_looks_at_all_alike():
    """exp(-|x|²/2) is a factor of what the floor is added to, for queries and for keys."""
    torch.manual_seed(0)
    long = 40 * torch.randn(1, 1, N, 4, dtype=torch.float64)
    short, values = torch.randn(2, 1, 1, N, 4, dtype=torch.float64)
    directions = performer.orthogonal(8, 4).double()
    lost = performer.attend(long, short, values, directions)
    among = performer.features(short, directions, (-2, -1)).sum(dim=-1, keepdim=True)
    alike = (among * values).sum(dim=2, keepdim=True) / among.sum(dim=2, keepdim=True)
    assert_exact(lost, alike.expand_as(lost))
    among_long = performer.attend(short, long, values, directions)
    assert_exact(among_long, values.mean(dim=2, keepdim=True).expand_as(among_long))


def test_many_features_are_softmax_attention(monkeypatch):
    monkeypatch.setattr(performer, "_FLOOR", 0.0)
    module, x = attention(40_000), tokens()
    other = softmax.Attention(GEOMETRY, softmax.Config(qkv_bias=True)).double()
    other.load_state_dict({k: v for k, v in module.state_dict().items() if k != "directions"})
    # a relative error of some 1/√40000 for each weight
    torch.testing.assert_close(module(x), other(x), rtol=0, atol=0.01)
    assert (attention(4)(x) - other(x)).abs().max() > 0.02


def test_directions_are_orthogonal_and_as_long_as_normal_vectors():
    torch.manual_seed(0)
    directions = performer.orthogonal(128, 64)
    assert directions.shape == (128, 64)
    for block in directions.double().split(64):
        products = block @ block.T
        torch.testing.assert_close(products, products.diag().diag(), rtol=0, atol=1e-3)
    squares = directions.square().sum(dim=1)  # chi-squared: mean 64, standard deviation √128
    assert float(squares.mean()) == pytest.approx(64, abs=5)
    assert float(squares.std()) == pytest.approx(128**0.5, rel=0.3)


def test_half_precision_is_finite():
    module, x = attention(128).float(), 1000 * tokens().float()
    with torch.autocast("cpu", dtype=torch.float16):
        half = module(x)
    assert half.isfinite().all()
    half.float().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="features must be at least 1, given 0"):
        attention(0)
    with pytest.raises(ValueError, match="heads=3 must divide dim=8"):
        performer.Attention(Geometry(width=8, heads=3, grid=(2, 3)), performer.Config())
