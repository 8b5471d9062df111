"""One cluster is softmax attention, more are a loop over clusters; centroids follow k-means."""

import math
from functools import partial

import pytest
import torch
from torch.nn.functional import mse_loss, normalize

from tests.trainables.models.exact import assert_exact
from trainables.models import auxiliary
from trainables.models.attention import routing, softmax
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=3, grid=(2, 5))
N, D, H = GEOMETRY.tokens, GEOMETRY.width, GEOMETRY.heads


def attention(grid: tuple[int, int] = GEOMETRY.grid, **config) -> routing.Attention:
    torch.manual_seed(0)
    geometry = Geometry(width=D, heads=H, grid=grid)
    module = routing.Attention(geometry, routing.Config(**config)).double().eval()
    module.centroids.copy_(normalize(module.centroids, dim=-1))  # unit vectors to the last digit
    return module


def tokens(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, N, D, dtype=torch.float64, requires_grad=True)


def points_of(module: routing.Attention, x: torch.Tensor) -> torch.Tensor:
    """Unit queries, then unit keys: (B, 2 N, H, E)."""
    both = torch.cat((module.q(x), module.k(x)), dim=1)
    return normalize(both.unflatten(-1, (H, -1)), dim=-1)


def by_clusters(module: routing.Attention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples, heads and clusters."""
    width, window, mixed = D // H, module.window, []
    for sample, points in zip(x, points_of(module, x), strict=True):
        heads = []
        for head, centroids in enumerate(module.centroids):
            at = slice(head * width, (head + 1) * width)
            q, k, v = (layer(sample)[:, at] for layer in (module.q, module.k, module.v))
            said: list[list[torch.Tensor]] = [[] for _ in range(N)]
            for centroid in centroids:
                near = points[:, head] @ centroid
                queries, keys = (part.argsort(descending=True)[:window] for part in near.chunk(2))
                weights = (q[queries] @ k[keys].T / math.sqrt(width)).softmax(dim=1)
                for token, row in zip(queries.tolist(), weights @ v[keys], strict=True):
                    said[token].append(row)
            nothing = torch.zeros(width).double()
            heads.append(torch.stack([sum(s, nothing) / max(1, len(s)) for s in said]))
        mixed.append(module.out(torch.cat(heads, dim=1)))
    return torch.stack(mixed)


def assert_same_function(module, other, x: torch.Tensor, sources: list[torch.Tensor]) -> None:
    ours, theirs = module(x), other(x)
    assert_exact(ours, theirs)
    weights = torch.randn_like(x)
    gradients = (torch.autograd.grad((y * weights).sum(), sources) for y in (ours, theirs))
    for one, two in zip(*gradients, strict=True):
        assert_exact(one, two)


def test_one_cluster_is_softmax_attention():
    module, x = attention(clusters=1), tokens()
    other = softmax.Attention(GEOMETRY, softmax.Config()).double()
    with torch.no_grad():
        layers = (module.q, module.k, module.v)
        other.qkv.weight.copy_(torch.cat([layer.weight for layer in layers]))
        other.out.weight.copy_(module.out.weight)
        other.out.bias.zero_()
    assert_same_function(module, other, x, [x])


@pytest.mark.parametrize("config", [{}, {"clusters": 2}, {"clusters": 11}, {"window": 2}])
def test_equals_a_loop_over_clusters(config):
    module, x = attention(**config), tokens()
    assert_same_function(module, partial(by_clusters, module), x, [x, *module.parameters()])


def mean_directions(module: routing.Attention, x: torch.Tensor) -> torch.Tensor:
    """What one step of k-means on the sphere makes of the centroids."""
    points, means = points_of(module, x).flatten(0, 1), module.centroids.clone()
    for head in range(H):
        nearest = (points[:, head] @ module.centroids[head].T).argmax(dim=1)
        for cluster in nearest.unique():
            means[head, cluster] = normalize(points[nearest == cluster, head].mean(dim=0), dim=0)
    return means.detach()


@pytest.mark.parametrize("faithful", [False, True])
def test_the_first_batch_makes_the_centroids(faithful):
    module, x = attention(clusters=2, faithful=faithful).train(), tokens()
    drawn = module.centroids.clone()
    module(x)
    assert module.initialised
    assert not torch.allclose(module.centroids, drawn)
    assert_exact(module.centroids, mean_directions(module, x))  # k-means has come to rest
    assert_exact(module.centroids.norm(dim=-1), torch.ones(H, 2).double())


def test_centroids_follow_later_batches():
    module = attention(decay=0.9).train()
    module(tokens())
    later, before = tokens(), module.centroids.clone()
    expected = normalize(0.9 * before + 0.1 * mean_directions(module, later), dim=-1)
    module(later)
    assert not torch.allclose(expected, before)
    assert_exact(module.centroids, expected)


def test_centroids_stay_as_published_and_in_evaluation():
    for module in (attention(faithful=True).train(), attention()):
        module(tokens())
        before = module.centroids.clone()
        module(tokens())
        assert_exact(module.centroids, before, rtol=0, atol=0)
        assert bool(module.initialised) == module.training


def test_workers_pool_their_sums(monkeypatch):
    x, others = tokens(4), []
    whole, one, two = (attention(decay=0.5).train() for _ in range(3))
    for module in (whole, one, two):
        module.initialised.fill_(True)
    whole(x)
    monkeypatch.setattr(routing, "pooled", lambda sums: others.append(sums) or sums)
    one(x[:1])
    monkeypatch.setattr(routing, "pooled", lambda sums: sums + others[0])
    two(x[1:])
    assert len(others) == 1
    assert_exact(two.centroids, whole.centroids)
    assert not torch.allclose(one.centroids, whole.centroids)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_loss_is_the_distance_to_the_nearest_centroid(batch):
    module, x = attention(commitment=0.3).train(), tokens(batch)
    module.initialised.fill_(True)
    centroids = module.centroids.clone()
    with auxiliary.collected() as losses:
        module(x)
    points = points_of(module, x)
    nearest = torch.einsum("bmhe,hce->bmhc", points, centroids).argmax(dim=-1)
    expected = 0.3 * mse_loss(points, centroids[torch.arange(H), nearest])
    assert_exact(losses["commitment"], expected)
    ours, theirs = (torch.autograd.grad(y, x)[0] for y in (losses["commitment"], expected))
    assert_exact(ours, theirs)


def test_clusters_follow_the_number_of_tokens():
    source, larger = attention((3, 3)), attention((9, 9))
    source.initialised.fill_(True)
    source.centroids.copy_(normalize(torch.ones(1, 1, D // H).double(), dim=-1))
    moved = larger.resampled(source)["centroids"]
    assert moved.shape == larger.centroids.shape
    assert_exact(moved, torch.full_like(moved, 0.5))  # unit vectors of four
    drawn = attention((3, 3))
    moved = larger.resampled(drawn)["centroids"]
    assert_exact(moved.norm(dim=-1), torch.ones(moved.shape[:2]).double())
    assert len(moved[0].unique(dim=0)) == moved.shape[1] > drawn.centroids.shape[1]
    assert_exact(drawn.resampled(drawn)["centroids"], drawn.centroids)


def test_half_precision_holds_long_queries_and_keys():
    module = attention().float().train()
    with torch.no_grad():
        module.q.weight.mul_(500)  # squares beyond 65504, and a norm of keys below the smallest
        module.k.weight.mul_(1e-9)
        with torch.autocast("cpu", dtype=torch.float16):
            assert module(tokens().float()).isfinite().all()
    assert module.centroids.isfinite().all()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"clusters": 0}, r"clusters=0 must lie in \[1, 11\] with 11 tokens"),
        ({"clusters": 12}, r"clusters=12 must lie in \[1, 11\] with 11 tokens"),
        ({"window": 12}, r"window=12 must lie in \[1, 11\] with 11 tokens"),
        ({"window": 0}, r"window=0 must lie in \[1, 11\] with 11 tokens"),
        ({"decay": 1.5}, r"decay=1.5 must lie in \[0, 1\]"),
        ({"commitment": -1.0}, r"commitment=-1.0 must lie in \[0, inf\]"),
    ],
)
def test_sizes_that_cannot_be(config, message):
    with pytest.raises(ValueError, match=message):
        attention(**config)
