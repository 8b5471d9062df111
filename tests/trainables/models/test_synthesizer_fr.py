"""The random Synthesizer can be any fixed attention, and is its low-rank equation elsewhere."""

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import synthesizer_fr
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=3, grid=(2, 5))
N, D, H = GEOMETRY.tokens, GEOMETRY.width, GEOMETRY.heads


def attention(grid: tuple[int, int] = GEOMETRY.grid, **config) -> synthesizer_fr.Attention:
    torch.manual_seed(0)
    geometry = Geometry(width=D, heads=H, grid=grid)
    return synthesizer_fr.Attention(geometry, synthesizer_fr.Config(**config)).double()


def mixed_by(weights: torch.Tensor, module: synthesizer_fr.Attention, x: torch.Tensor):
    """A loop over samples and heads for given (H, N, N) attention."""
    samples = []
    for sample in x:
        v = module.v(sample).chunk(H, dim=1)
        heads = [weights[head] @ v[head] for head in range(H)]
        samples.append(module.out(torch.cat(heads, dim=1)))
    return torch.stack(samples)


def test_full_rank_is_any_attention():
    module, x = attention(rank=N), torch.randn(2, N, D).double()
    weights = torch.rand(H, N, N).double().softmax(dim=-1)
    with torch.no_grad():
        module.factors[0], module.factors[1] = weights.log(), torch.eye(N)
    assert_exact(module(x), mixed_by(weights, module, x))


@pytest.mark.parametrize(
    ("rank", "faithful", "length"), [(1, False, N), (4, False, N), (4, True, 12), (N, True, N)]
)
def test_equals_the_equation(rank, faithful, length):
    module = attention(rank=rank, faithful=faithful)
    assert module.factors.shape == (2, H, length, rank)
    x = torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)
    scores = torch.einsum("hnk,hmk->hnm", *module.factors[:, :, :N])
    weights = scores.exp() / scores.exp().sum(dim=2, keepdim=True)
    ours, theirs = module(x), mixed_by(weights, module, x)
    assert_exact(ours, theirs)
    sources, signs = [x, *module.parameters()], torch.randn_like(x)
    gradients = (torch.autograd.grad((y * signs).sum(), sources) for y in (ours, theirs))
    for one, other in zip(*gradients, strict=True):
        assert_exact(one, other)


def test_factors_follow_the_grid():
    source, larger = attention((3, 3)), attention((9, 9))
    with torch.no_grad():
        ramp = torch.arange(3.0).view(3, 1).expand(3, 3)  # downwards
        source.factors[:, :, 1:] = ramp.reshape(9, 1)
    moved = larger.resampled(source)["factors"]
    assert moved.shape == larger.factors.shape
    assert_exact(moved[:, :, 0], source.factors[:, :, 0])
    rows = ((torch.arange(9) + 0.5) / 3 - 0.5).clamp(0, 2).double()
    grid = moved[:, :, 1:].unflatten(2, (9, 9))
    torch.testing.assert_close(grid, rows.view(9, 1, 1).expand_as(grid))
    assert_exact(source.resampled(source)["factors"], source.factors)


def test_factors_follow_a_line_as_published():
    source, larger = attention((3, 3), faithful=True), attention((9, 9), faithful=True)
    with torch.no_grad():
        source.factors.copy_(torch.arange(16.0).view(16, 1).expand_as(source.factors))
    moved = larger.resampled(source)["factors"]
    places = ((torch.arange(88) + 0.5) * 16 / 88 - 0.5).clamp(0, 15).double()
    torch.testing.assert_close(moved, places.view(88, 1).expand_as(moved))


@pytest.mark.parametrize("rank", [0, 12])
def test_ranks_that_cannot_be(rank):
    with pytest.raises(ValueError, match=f"rank={rank} must lie between 1 and the 11 tokens"):
        attention(rank=rank)
