"""SLAB's attention is a matrix of N x N weights, its norm LayerNorm and then RepBN."""

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import slab
from trainables.models.geometry import Geometry
from trainables.models.schedule import set_progress

GRID = (3, 4)
GEOMETRY = Geometry(width=12, heads=3, grid=GRID, prefix=0)
N, D = GEOMETRY.tokens, GEOMETRY.width


def attention(**config) -> slab.Attention:
    torch.manual_seed(0)
    module = slab.Attention(GEOMETRY, slab.Config(**config)).double()
    torch.nn.init.normal_(module.position)
    return module


def by_matrices(module: slab.Attention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples and heads with the whole matrix of weights."""
    width, size = D // module.heads, module.local.kernel_size[0]
    mixed = []
    for sample in x:
        q, k, v = module.qkv(sample).chunk(3, dim=1)
        q, k, heads = q.relu(), (k + module.position[0]).relu(), []
        for head in range(module.heads):
            at = slice(head * width, (head + 1) * width)
            scores = q[:, at] @ k[:, at].T
            weights = scores / (scores.sum(dim=1, keepdim=True) + 1e-6)
            padded = torch.zeros(GRID[0] + size - 1, GRID[1] + size - 1, width).double()
            inside = slice(size // 2, size // 2 + GRID[0]), slice(size // 2, size // 2 + GRID[1])
            padded[inside] = v[:, at].unflatten(0, GRID)
            windows = padded.unfold(0, size, 1).unfold(1, size, 1).flatten(0, 1)
            local = (windows * module.local.weight[:, 0]).sum(dim=(2, 3))
            heads.append(weights @ v[:, at] + local + dict(module.local.named_parameters())["bias"])
        mixed.append(torch.cat(heads, dim=1))
    return module.out(torch.stack(mixed))


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_equals_the_matrix_of_weights(kernel_size):
    module = attention(kernel_size=kernel_size)
    x = torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)
    assert_exact(module(x), by_matrices(module, x))
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_matrices(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


def test_positions_follow_the_grid():
    module = attention()
    larger = slab.Attention(Geometry(width=D, heads=3, grid=(6, 8), prefix=0), slab.Config())
    assert_exact(module.resampled(module)["position"], module.position.data)
    torch.nn.init.constant_(module.position, 0.25)
    new = larger.resampled(module)["position"]
    torch.testing.assert_close(new, torch.full((1, 48, D), 0.25, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_inputs_in_half_precision(dtype):
    q, k, v = torch.full((3, 1, 2, 50, 64), 300.0, dtype=dtype)  # of q k 5,760,000
    with torch.autocast("cpu", dtype=dtype):
        torch.testing.assert_close(slab.linear_attention(q, k, v), v)


def norm(progress: float, **config) -> slab.Norm:
    torch.manual_seed(0)
    module = slab.Norm(D, 1e-6, slab.Config(**config)).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    set_progress(module, progress)
    return module


def rep_bn(module: slab.Norm, x: torch.Tensor, mean, variance) -> torch.Tensor:
    return (x - mean) / (variance + 1e-5).sqrt() * module.weight + module.bias + module.alpha * x


@pytest.mark.parametrize(
    ("progress", "share", "blend"),
    [(0.0, 0.5, 1.0), (0.125, 0.5, 0.75), (0.5, 0.5, 0.0), (0.9, 0.5, 0.0), (0.25, 1.0, 0.75)],
)
def test_norm_leads_over_in_training_and_evaluation(progress, share, blend):
    module, x = norm(progress, blend_share=share), torch.randn(5, N, D, dtype=torch.float64)
    mean, variance = x.mean(dim=(0, 1)), x.var(dim=(0, 1), correction=0)
    expected = blend * module.layer(x) + (1 - blend) * rep_bn(module, x, mean, variance)
    assert_exact(module(x), expected)
    module.eval()
    expected = blend * module.layer(x)
    expected += (1 - blend) * rep_bn(module, x, module.mean, module.variance)
    assert_exact(module(x), expected)


def test_a_norm_that_nobody_trains_is_batch_norm():
    module = slab.Norm(D, 1e-5, slab.Config()).eval()
    assert module.progress == 1
    del module.layer  # it is not even asked
    x = torch.randn(2, N, D)
    torch.testing.assert_close(module(x), rep_bn(module, x, module.mean, module.variance))


def test_running_statistics_weigh_batches_by_their_size():
    module, x = norm(1.0), 3 + 2 * torch.randn(64, N, D, dtype=torch.float64)
    module(x)
    # what they began with counts as one token, of 77
    torch.testing.assert_close(module.mean, x.mean(dim=(0, 1)), rtol=0.02, atol=0)
    torch.testing.assert_close(module.variance, x.var(dim=(0, 1)), rtol=0.02, atol=0)
    before = module.mean.clone(), module.variance.clone()
    lone = torch.full((1, 1, D), 50.0, dtype=torch.float64, requires_grad=True)
    assert_exact(module(lone), rep_bn(module, lone, *before))
    module(lone).sum().backward()
    assert_exact((module.mean, module.variance), before)
    share = 0.2 / (0.2 + 0.9 * module.size)
    module(lone.expand(1, 2, D))
    assert_exact(module.mean, before[0].lerp(lone[0, 0], share))
    assert share < 0.01
    assert module.variance.isfinite().all()


def test_running_statistics_are_those_of_all_workers(monkeypatch):
    whole = 3 + 2 * torch.randn(8, N, D, dtype=torch.float64)
    ours, theirs = whole[:6], whole[6:]
    moments = torch.stack([theirs.flatten(0, 1) ** power for power in range(3)]).sum(dim=1)
    monkeypatch.setattr(slab, "pooled", lambda tensor: tensor + moments)
    one, other = norm(1.0), norm(1.0)
    one(ours)
    monkeypatch.undo()
    other(whole)
    assert_exact((one.mean, one.size), (other.mean, other.size))
    # each worker's own variance is unbiased, which cannot be told from their sums
    torch.testing.assert_close(one.variance, other.variance, rtol=0.01, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_norm_trains_in_half_precision(dtype):
    whole = norm(0.05).to(dtype)
    whole(torch.randn(2, N, D, dtype=dtype)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in whole.parameters())
    with torch.autocast("cpu", dtype=dtype):
        assert norm(0.05).float()(torch.randn(2, N, D)).isfinite().all()


def test_a_share_is_refused():
    with pytest.raises(ValueError, match=r"blend_share must lie in \(0, 1\], given 1.5"):
        norm(0.0, blend_share=1.5)


def test_all_that_cannot_be_built_is_told_at_once():
    geometry = Geometry(width=D, heads=5, grid=GRID)
    with pytest.raises(ValueError, match="heads=5 must divide dim=12") as caught:
        slab.Attention(geometry, slab.Config(kernel_size=4))
    assert "kernel_size must be odd and at least 1, given 4" in str(caught.value)
    assert "class_token must be False" in str(caught.value)
