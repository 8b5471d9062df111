"""The dense Synthesizer is softmax over an outer product; as published it repeats its logits."""

import math
from functools import partial

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import synthesizer_fd
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=3, grid=(2, 5))
N, D, H = GEOMETRY.tokens, GEOMETRY.width, GEOMETRY.heads


def attention(grid: tuple[int, int] = GEOMETRY.grid, **config) -> synthesizer_fd.Attention:
    torch.manual_seed(0)
    geometry = Geometry(width=D, heads=H, grid=grid)
    return synthesizer_fd.Attention(geometry, synthesizer_fd.Config(**config)).double()


def by_pairs(module: synthesizer_fd.Attention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples, heads, queries and keys."""
    rows, columns, mixed = module.row.length, module.column.length, []
    for sample in x:
        a, b, v = (layer(sample).unflatten(1, (H, -1)) for layer in linears(module))
        heads = []
        for head in range(H):
            said = []
            for query in range(N):
                second = [j // rows if module.faithful else j % columns for j in range(N)]
                terms = [a[query, head, j // columns] * b[query, head, second[j]] for j in range(N)]
                weights = torch.stack(terms).exp()
                said.append(weights / weights.sum() @ v[:, head])
            heads.append(torch.stack(said))
        mixed.append(module.out(torch.stack(heads, dim=1).flatten(1)))
    return torch.stack(mixed)


def linears(module: synthesizer_fd.Attention):
    """The plain linear layers behind a, b and v."""
    layers = (module.row, module.column, module.v)
    return [partial(torch.nn.functional.linear, weight=m.weight, bias=m.bias) for m in layers]


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize(
    ("rows", "sides"), [(None, (3, 4)), (1, (1, 11)), (7, (6, 2)), (11, (11, 1))]
)
def test_equals_the_equation(rows, sides, faithful):
    module = attention(rows=rows, faithful=faithful)
    assert (module.row.length, module.column.length) == sides
    x = torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)
    ours, theirs = module(x), by_pairs(module, x)
    assert_exact(ours, theirs)
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    gradients = (torch.autograd.grad((y * weights).sum(), sources) for y in (ours, theirs))
    for one, other in zip(*gradients, strict=True):
        assert_exact(one, other)


@pytest.mark.parametrize(("faithful", "distinct"), [(False, 197), (True, 28)])
def test_distinct_logits_of_a_token(faithful, distinct):
    module, x = attention((14, 14), faithful=faithful), torch.randn(1, 197, D).double()
    logits = module._logits(x)[..., :197]
    assert {len(row.unique()) for row in logits.flatten(0, 2)} == {distinct}


def test_logits_follow_the_grid():
    source, larger = attention((14, 14)), attention((24, 24))
    assert (larger.row.length, larger.column.length) == (24, 25)
    with torch.no_grad():
        ramp = torch.arange(14.0).view(14, 1)  # along the rows of tokens
        source.row.weight.copy_(ramp.expand(14, D).repeat(H, 1))
        source.row.bias.fill_(3.0)
    moved = larger.row.resampled(source.row)
    assert_exact(moved["bias"], torch.full((H * 24,), 3.0).double())
    rows = ((torch.arange(24) + 0.5) * 14 / 24 - 0.5).clamp(0, 13)  # where the new rows lie
    torch.testing.assert_close(
        moved["weight"].view(H, 24, D), rows.double().view(1, 24, 1).expand(H, 24, D)
    )
    for name, values in source.column.resampled(source.column).items():
        assert_exact(values, source.column.get_parameter(name))


@pytest.mark.parametrize("rows", [0, 12])
def test_rows_that_cannot_be(rows):
    with pytest.raises(ValueError, match=f"rows={rows} must lie between 1 and the 11 tokens"):
        attention(rows=rows)


def test_rows_default_to_the_root_of_the_tokens():
    for side in (7, 12, 14, 24):
        module = attention((side, side))
        assert module.row.length == round(math.sqrt(side**2 + 1))
