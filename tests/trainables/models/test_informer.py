"""Informer is softmax attention where every query is kept, and Algorithm 1 elsewhere."""

from math import sqrt

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import informer, softmax
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=3, grid=(4, 5))
N, D = GEOMETRY.tokens, GEOMETRY.width
ALL = N  # a factor that keeps every query


def attention(factor: int) -> informer.Attention:
    torch.manual_seed(0)
    return informer.Attention(GEOMETRY, informer.Config(factor=factor)).double()


def tokens() -> torch.Tensor:
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def selectivity(query: torch.Tensor, key: torch.Tensor, samples: torch.Tensor) -> list[float]:
    """Of each query (N, E) by its sampled keys."""
    scores = [key[few] @ q for q, few in zip(query.detach(), samples, strict=True)]
    return [float(row.max() - row.sum() / N) for row in scores]


def by_loops(module: informer.Attention, x: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    """Algorithm 1, one query after the other."""
    rows = []
    for sample in x @ module.qkv.weight.T + module.qkv.bias:
        heads = []
        for query, key, value in sample.unflatten(1, (3, 3, -1)).permute(2, 1, 0, 3):
            mixed = [value.mean(dim=0)] * N
            worth = selectivity(query, key.detach(), samples)
            ranked = sorted(range(N), key=worth.__getitem__, reverse=True)
            for index in ranked[: module.kept]:
                weights = (key @ query[index] / sqrt(D // 3)).softmax(dim=0)
                mixed[index] = weights @ value
            heads.append(torch.stack(mixed))
        rows.append(torch.cat(heads, dim=1) @ module.out.weight.T + module.out.bias)
    return torch.stack(rows)


@pytest.mark.parametrize("training", [False, True])
def test_every_query_kept_is_softmax_attention(training):
    module, x = attention(ALL).train(training), tokens()
    other = softmax.Attention(GEOMETRY, softmax.Config(qkv_bias=True)).double()
    other.load_state_dict(module.state_dict())
    assert_exact(module(x), other(x))
    weights = torch.randn_like(x)
    ours, theirs = (torch.autograd.grad((m(x) * weights).sum(), x) for m in (module, other))
    assert_exact(ours, theirs)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_equals_the_algorithm(factor):
    module, x = attention(factor).eval(), tokens()
    assert module.kept == 4 * factor  # ⌈ln 21⌉ = 4
    expected = by_loops(module, x, module.samples)
    assert_exact(module(x), expected)
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((expected * weights).sum(), sources)
    assert_exact(ours, theirs)


def test_training_draws_its_samples_anew():
    module, x = attention(1).train(), tokens()
    torch.manual_seed(3)
    mixed = module(x)
    torch.manual_seed(3)
    assert_exact(mixed, by_loops(module, x, torch.randint(N, (N, module.kept))))
    assert not torch.equal(mixed, module(x))


def test_evaluation_draws_the_same_samples_in_every_model():
    assert torch.equal(
        attention(2).samples, informer.Attention(GEOMETRY, informer.Config(factor=2)).samples
    )
    assert attention(2).samples.unique().tolist() == list(range(N))


def test_half_precision_keeps_the_order():
    module, x = attention(1).float().eval(), 500 * tokens().float()
    with torch.autocast("cpu", dtype=torch.float16):
        q, k, _ = module.qkv(x).unflatten(-1, (3, 3, -1)).permute(2, 0, 3, 1, 4)
        assert not (q @ k.transpose(-1, -2)).isfinite().all()
        scores = informer.selectivity(q.double(), k.double(), module.samples)
        half = informer.selectivity(q.float(), k.float(), module.samples)
        assert module(x).isfinite().all()
    assert torch.equal(half.argsort(dim=-1), scores.argsort(dim=-1))


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="factor must be at least 1, given 0"):
        attention(0)
    with pytest.raises(ValueError, match="heads=3 must divide dim=8"):
        informer.Attention(Geometry(width=8, heads=3, grid=(2, 3)), informer.Config())
