"""Sinkhorn attention is softmax attention in one bucket, and a naive loop over several."""

import math

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import sinkhorn, softmax
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=3, grid=(4, 4), prefix=0)
N, D = GEOMETRY.tokens, GEOMETRY.width


def attention(**config) -> sinkhorn.Attention:
    torch.manual_seed(0)
    module = sinkhorn.Attention(GEOMETRY, sinkhorn.Config(**config)).double().eval()
    with torch.no_grad():
        module.q.weight.mul_(3)  # the routes shall differ from each other
    return module


def tokens() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def routes(module: sinkhorn.Attention, scores: torch.Tensor) -> torch.Tensor:
    if module.config.faithful:
        weights = scores.softmax(dim=1)
        return weights * (weights == weights.max(dim=1, keepdim=True).values)
    matrix = (scores / module.config.temperature).exp()
    for _ in range(module.config.iterations):
        matrix = matrix / matrix.sum(dim=1, keepdim=True)
        matrix = matrix / matrix.sum(dim=0, keepdim=True)
    return matrix


def by_buckets(module: sinkhorn.Attention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples, heads and buckets."""
    width, mixed = D // module.heads, []
    for sample in x:
        heads = []
        for head in range(module.heads):
            at = slice(head * width, (head + 1) * width)
            projected = module.q(sample), *module.kv(sample).chunk(2, dim=1)
            q, k, v = (part[:, at].split(module.bucket) for part in projected)
            queries, keys = (torch.stack([b.mean(dim=0) for b in part]) for part in (q, k))
            routed = routes(module, queries @ keys.T / math.sqrt(width))
            for bucket, own in enumerate(q):
                weights = routed[bucket, :, None, None]
                sorted_k = (weights * torch.stack(k)).sum(dim=0)
                sorted_v = (weights * torch.stack(v)).sum(dim=0)
                if module.config.faithful:
                    sorted_v = sorted_k
                scores = own @ torch.cat((sorted_k, k[bucket])).T / math.sqrt(width)
                heads.append(scores.softmax(dim=1) @ torch.cat((sorted_v, v[bucket])))
        # buckets of a head are its rows, heads its columns
        count = len(heads) // module.heads
        rows = [torch.cat(heads[i * count : (i + 1) * count]) for i in range(module.heads)]
        mixed.append(torch.cat(rows, dim=1))
    return module.out(torch.stack(mixed))


@pytest.mark.parametrize("bucket_max", [1, 4, 8, 16])
@pytest.mark.parametrize("faithful", [False, True])
def test_equals_a_loop_over_buckets(bucket_max, faithful):
    module, x = attention(bucket_max=bucket_max, faithful=faithful), tokens()
    assert module.bucket == bucket_max
    assert_exact(module(x), by_buckets(module, x))
    weights, sources = torch.randn_like(x), [x, *module.parameters()]
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_buckets(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


def test_one_bucket_is_softmax_attention():
    module, x = attention(bucket_max=N), tokens()
    other = softmax.Attention(GEOMETRY, softmax.Config(qkv_bias=True)).double()
    other.load_state_dict(
        {
            "qkv.weight": torch.cat((module.q.weight, module.kv.weight)),
            "qkv.bias": torch.cat((module.q.bias, module.kv.bias)),
            "out.weight": module.out.weight,
            "out.bias": module.out.bias,
        }
    )
    assert_exact(module(x), other(x))
    assert not torch.allclose(attention(bucket_max=N, faithful=True)(x), other(x))
    weights = torch.randn_like(x)
    ours, theirs = (torch.autograd.grad((m(x) * weights).sum(), x) for m in (module, other))
    assert_exact(ours, theirs)


def test_the_matrix_is_balanced_and_near_a_permutation_when_cold():
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 5, 4, dtype=torch.float64)
    still = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    warm = sinkhorn.balanced(q, k, still, iterations=200, temperature=0.75)
    assert_exact(warm.sum(dim=-1), torch.ones(1, 1, 5).double())
    assert_exact(warm.sum(dim=-2), torch.ones(1, 1, 5).double())
    cold = sinkhorn.balanced(q, k, still, iterations=2000, temperature=0.005)
    torch.testing.assert_close(cold, cold.round(), rtol=0, atol=1e-3)


def test_only_training_draws():
    x, module = tokens(), attention(bucket_max=4)
    assert_exact(module(x), module(x))
    module.train()
    assert not torch.allclose(module(x), module(x))
    torch.manual_seed(0)
    first = module(x)
    torch.manual_seed(0)
    torch.testing.assert_close(module(x), first, rtol=0, atol=0)
    faithful = attention(bucket_max=4, faithful=True).train()
    assert_exact(faithful(x), faithful(x))


@pytest.mark.parametrize(
    ("side", "most", "size"),
    [(14, 32, 28), (24, 32, 24), (28, 32, 28), (12, 32, 24), (28, 16, 14), (7, 3, 1), (4, 99, 16)],
)
def test_buckets_are_rows_or_parts_of_rows(side, most, size):
    assert sinkhorn.bucket_size((side, side), most) == size


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("faithful", [False, True])
def test_large_inputs_in_half_precision(dtype, faithful):
    module = attention(bucket_max=4, faithful=faithful).float()
    with torch.autocast("cpu", dtype=dtype):
        assert module(tokens().float() * 1000).isfinite().all()
    q = torch.full((1, 1, 3, 4), 300.0, dtype=dtype)  # agreements of 180,000
    with torch.autocast("cpu", dtype=dtype):
        assert module._routes(q[:, :, :, None], q[:, :, :, None]).isfinite().all()


def test_all_that_cannot_be_built_is_told_at_once():
    config = sinkhorn.Config(bucket_max=0, iterations=0, temperature=0.0)
    with pytest.raises(ValueError, match="bucket_max must be at least 1, given 0") as caught:
        sinkhorn.Attention(Geometry(width=12, heads=5, grid=(4, 4)), config)
    for part in ("iterations must", "temperature must", "heads=5 must divide", "class_depth must"):
        assert part in str(caught.value)
