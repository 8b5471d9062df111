"""HiViT's early stages look at one token's pixels, its attention knows how far tokens lie apart."""

from typing import Any

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.models.geometry import Geometry
from trainables.models.resize import resize
from trainables.models.whole import hivit
from trainables.models.whole.hivit import Merge, RelativeAttention

GRID = (3, 4)
GEOMETRY = Geometry(width=12, heads=3, grid=GRID, prefix=0)
N, D = GEOMETRY.tokens, GEOMETRY.width
SMALL = {"grid": 28, "dim": 24, "heads": 2, "depth": 1}


def attention(geometry: Geometry = GEOMETRY) -> RelativeAttention:
    torch.manual_seed(0)
    module = RelativeAttention(geometry).double()
    torch.nn.init.normal_(module.table)
    return module


def by_matrices(module: RelativeAttention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples and heads, the bias of each pair looked up by itself."""
    rows, columns = GRID
    places = [(row, column) for row in range(rows) for column in range(columns)]
    mixed = []
    for sample in x:
        q, k, v = (part.unflatten(1, (module.heads, -1)) for part in module.qkv(sample).chunk(3, 1))
        heads = []
        for head in range(module.heads):
            bias = torch.stack(
                [
                    module.table[(2 * columns - 1) * (a - c + rows - 1) + b - d + columns - 1, head]
                    for a, b in places
                    for c, d in places
                ]
            ).view(N, N)
            scores = q[:, head] @ k[:, head].T / (D // module.heads) ** 0.5 + bias
            heads.append(scores.softmax(dim=1) @ v[:, head])
        mixed.append(torch.cat(heads, dim=1))
    return module.out(torch.stack(mixed))


def test_equals_the_matrix_of_weights():
    module = attention()
    x = torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)
    assert_exact(module(x), by_matrices(module, x))
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_matrices(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)
    assert all(gradient.any() for gradient in ours)


def test_biases_follow_the_grid_of_offsets():
    module, larger = attention(), attention(Geometry(width=D, heads=3, grid=(6, 8), prefix=0))
    assert_exact(module.resampled(module)["table"], module.table.data)
    # a bias that is the offset in rows keeps its sign, its order and its zero
    rows = torch.arange(5.0).sub(2).repeat_interleave(7)
    module.table.data = rows[:, None].expand(-1, 3).double()
    table = larger.resampled(module)["table"].detach().view(11, 15, 3)
    assert (table.diff(dim=0) > 0).all()
    assert_exact(table, -table.flip(0))


def test_merge_joins_squares_of_four():
    torch.manual_seed(0)
    module = Merge(3, 1e-6).double()
    x = torch.randn(2, 5, 4, 3, dtype=torch.float64)
    merged = module(x)
    assert merged.shape == (2, 3, 2, 6)
    padded = torch.cat((x, torch.zeros(2, 1, 4, 3)), dim=1)
    for row in range(3):
        for column in range(2):
            square = padded[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert_exact(merged[:, row, column], module.reduce(module.norm(square.flatten(1))))


def test_a_token_is_made_of_its_own_pixels():
    model: Any = models.build("hivit", SMALL, image_size=56, num_classes=2).double()
    maps = torch.randn(1, 28, 28, 6, dtype=torch.float64)
    tokens = model.early(maps)
    assert tokens.shape == (1, 7, 7, 24)
    one = model.early(maps[:, 8:12, 20:24])
    assert_exact(tokens[:, 2, 5], one[:, 0, 0])


def test_a_block_without_attention_has_two_mlps():
    params = SMALL | {"early_depth": 2, "early_mlp_ratio": 3.0}
    model: Any = models.build("hivit", params, image_size=56, num_classes=2).double()
    assert len(model.early) == 6
    block, x = model.early[3], torch.randn(1, 3, 12, dtype=torch.float64)
    (norm, mlp), (second_norm, second) = block.mix[:2], block.feed[:2]
    assert mlp[0].out_features == 36
    between = x + mlp(norm(x))
    assert_exact(block(x), between + second(second_norm(between)))


def test_positions_follow_the_grid():
    model: Any = models.build("hivit", SMALL, image_size=56, num_classes=2)
    torch.nn.init.constant_(model.position, 0.25)
    larger: Any = resize(model, 112)
    assert larger.config.patch == 2
    torch.testing.assert_close(larger.position.data, torch.full((1, 14 * 14, 24), 0.25))


def test_the_published_row_to_the_unit():
    config = hivit.Config(patch=4)
    with torch.device("meta"):
        model = hivit.Model(config, image_size=224, num_classes=1000, in_chans=3)
    assert sum(p.numel() for p in model.parameters()) == 4_937_254


def test_the_small_network_of_the_paper():
    config = hivit.Config(patch=4, dim=384, heads=6, depth=20, early_depth=2)
    with torch.device("meta"):
        model = hivit.Model(config, image_size=224, num_classes=1000, in_chans=3)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(37.53, abs=0.01)


def test_all_mistakes_are_told_at_once():
    wrong = {"grid": 14, "dim": 30, "heads": 4, "early_depth": 0, "mlp_ratio": 0.5}
    with pytest.raises(
        ValueError, match=r"multiple of 4 patches per side \(such as .*given 14 "
    ) as e:
        models.build("hivit", wrong, image_size=56, num_classes=2)
    for part in (
        "dim must be a multiple of 4, given 30",
        "heads=4 must divide dim=30",
        "early_depth must lie between 1 and 1000, given 0",
        "mlp_ratio must lie between 1 and 64, given 0.5",
    ):
        assert part in str(e.value)
