"""STViT's windows are parts of the map, its semantic tokens are asked for and recovered from."""

from math import ceil
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.models.block import Branch
from trainables.models.geometry import Geometry
from trainables.models.resize import resize
from trainables.models.whole import stvit
from trainables.models.whole.stvit import CrossBlock, SemanticStage, WindowAttention, cut, uncut

SMALL = {"grid": 14, "dim": 8, "heads": 2, "depth": 1, "token_depth": 1}


def test_windows_are_cut_in_rows():
    maps = torch.arange(36).view(1, 6, 6, 1)
    windows = cut(maps, 3)
    assert windows[0, :, 0, 0].tolist() == [0, 3, 18, 21]
    assert windows[0, 1, :, 0].tolist() == [3, 4, 5, 9, 10, 11, 15, 16, 17]
    assert torch.equal(uncut(windows), maps)


def segments(side: int, window: int, shift: int) -> list[int]:
    """The window's number of every position of an axis, windows beginning at `shift`."""
    return [(position - shift) // window for position in range(side)]


def by_pairs(module: WindowAttention, x: torch.Tensor) -> torch.Tensor:
    """Attention over the whole map, with minus infinity for pairs of different windows."""
    side, span = x.shape[1], 2 * module.window - 1
    number = segments(side, module.window, module.shift)
    places = [(row, column) for row in range(side) for column in range(side)]
    bias = torch.full((module.heads, len(places), len(places)), -torch.inf, dtype=x.dtype)
    for one, (a, b) in enumerate(places):
        for other, (c, d) in enumerate(places):
            if number[a] == number[c] and number[b] == number[d]:
                entry = (a - c + module.window - 1) * span + b - d + module.window - 1
                bias[:, one, other] = module.table[entry]
    q, k, v = module.split(x.flatten(1, 2))
    scores = q @ k.transpose(2, 3) / q.shape[3] ** 0.5 + bias
    return module.joined(scores.softmax(dim=-1) @ v).view_as(x)


@pytest.mark.parametrize(
    ("side", "window", "shifted"), [(6, 3, False), (6, 3, True), (8, 4, True), (4, 4, True)]
)
def test_windows_equal_attention_over_the_whole_map(side, window, shifted):
    torch.manual_seed(0)
    geometry = Geometry(width=6, heads=2, grid=(side, side), prefix=0)
    module = WindowAttention(geometry, window, shifted=shifted).double()
    nn.init.normal_(module.table)
    assert module.shift == (window // 2 if shifted and window < side else 0)
    x = torch.randn(2, side, side, 6, dtype=torch.float64, requires_grad=True)
    assert_exact(module(x), by_pairs(module, x))
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_pairs(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


def crossed(block: CrossBlock, x: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """The block for one sample, (N, D) and (M, D), a loop over heads."""
    q, (k, v) = block.q(block.norm(x)), block.kv(block.norm(sources)).chunk(2, dim=1)
    width, heads = x.shape[1] // block.heads, []
    for head in range(block.heads):
        at = slice(head * width, (head + 1) * width)
        heads.append((q[:, at] @ k[:, at].T / width**0.5).softmax(dim=1) @ v[:, at])
    found = block.out(torch.cat(heads, dim=1)) * block.thin[1].gamma
    x = found if block.fresh else x + found
    return x + block.feed(x)


def stage(side: int, window: int, samples: int, token_depth: int = 2) -> SemanticStage:
    torch.manual_seed(0)
    branch = Branch(width=8, dropout=0.0, drop_path=0.0, layer_scale=0.5, norm_eps=1e-6)
    branches = [branch] * (token_depth + 4)
    config = stvit.Config(grid=side, samples=samples)
    geometry = Geometry(width=8, heads=2, grid=(side, side), prefix=0)
    return SemanticStage(config, branches, geometry, window).double().eval()


def maxima(window: torch.Tensor, samples: int) -> torch.Tensor:
    """(w, w, D) to (s s, D): the bins begin at the floor and end at the ceiling."""
    w = len(window)
    ends = [(i * w // samples, ceil((i + 1) * w / samples)) for i in range(samples)]
    return torch.stack([window[a:b, c:d].amax(dim=(0, 1)) for a, b in ends for c, d in ends])


def one_sample(module: Any, maps: torch.Tensor, corners: list[tuple[int, int]]):
    """The stage for one map of 2 x 2 windows; `corners`: where the axis' surroundings end."""
    side, w, s = len(maps), module.window, module.samples
    x = module.swin(maps[None])[0]
    parts = []
    for row, (top, bottom) in enumerate(corners):
        for column, (left, right) in enumerate(corners):
            window = x[row * w : (row + 1) * w, column * w : (column + 1) * w]
            pooled = maxima(window, s)
            around = x[top:bottom, left:right].flatten(0, 1)
            parts.append(crossed(module.summarise, pooled, torch.cat((pooled, around))))
    centres = module.centres[0].view(2, s, 2, s, -1).transpose(1, 2).flatten(0, 3)
    tokens = torch.cat(parts)
    tokens = crossed(module.focus, tokens + centres, torch.cat((tokens, x.flatten(0, 1))))
    tokens = torch.cat([crossed(module.within[0], part, part) for part in tokens.split(s * s)])
    tokens = crossed(module.within[1], tokens, tokens)
    return crossed(module.recover, x.flatten(0, 1), tokens).view(side, side, -1)


@pytest.mark.parametrize(
    ("side", "window", "samples", "corners"),
    [(14, 7, 3, [(0, 10), (4, 14)]), (8, 4, 2, [(0, 7), (1, 8)])],
)
def test_a_stage_equals_its_samples_and_windows_one_by_one(side, window, samples, corners):
    module = stage(side, window, samples)
    x = torch.randn(2, side, side, 8, dtype=torch.float64, requires_grad=True)
    theirs = torch.stack([one_sample(module, sample, corners) for sample in x])
    assert_exact(module(x), theirs)
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    expected = torch.autograd.grad((theirs * weights).sum(), sources)
    assert_exact(torch.autograd.grad((module(x) * weights).sum(), sources), expected)


@pytest.mark.parametrize("windows", [1, 2, 3, 4, 6])
def test_surroundings_hold_their_window(windows):
    module, side = stage(4 * windows, 4, 3), 4 * windows
    maps = torch.arange(float(side * side), dtype=torch.float64).view(1, side, side, 1)
    around, own = module._surroundings(maps)[..., 0], cut(maps, 4)[0, ..., 0]
    assert around.shape == (windows**2, min(7, side) ** 2)
    for positions, window in zip(around, own, strict=True):
        assert set(window.tolist()) <= set(positions.tolist())


def test_the_blocks_in_between_see_only_semantic_tokens():
    module, seen = stage(14, 7, 3, token_depth=3), []
    for block in (module.summarise, module.focus, *module.within, module.recover):
        block.register_forward_pre_hook(lambda _, given: seen.append([len(g[0]) for g in given]))
    module(torch.randn(2, 14, 14, 8, dtype=torch.float64))
    assert seen == [[9, 109], [36, 232], [9, 9], [36, 36], [9, 9], [196, 36]]


def test_nothing_but_a_residual_is_dropped():
    branch = Branch(width=8, dropout=0.0, drop_path=0.99, layer_scale=None, norm_eps=1e-6)
    block = CrossBlock(branch, 2, 16, fresh=True).train()
    x = torch.randn(16, 4, 8)
    assert block(x, x).abs().amax(dim=(1, 2)).min() > 0


@pytest.mark.parametrize(
    ("grid", "window", "expected"),
    [
        (56, 7, [7, 7, 7, 7]),
        (56, 4, [7, 7, 7, 7]),
        (56, 12, [14, 14, 14, 7]),
        (96, 7, [6, 6, 6, 6]),
        (14, 7, [7, 7, 4, 2]),
        (64, 7, [8, 8, 8, 8]),
    ],
)
def test_windows_fit_all_stages(grid, window, expected):
    assert stvit.Config(grid=grid, window=window).windows(grid) == expected


def test_centres_follow_the_semantic_tokens():
    model = models.build("stvit", SMALL, image_size=56, num_classes=2)
    semantic = next(m for m in model.modules() if isinstance(m, SemanticStage))
    torch.testing.assert_close(semantic.resampled(semantic)["centres"], semantic.centres)
    nn.init.constant_(semantic.centres, 0.25)
    larger = next(m for m in resize(model, 448).modules() if isinstance(m, SemanticStage))
    torch.testing.assert_close(larger.centres.data, torch.full((1, 12 * 12, 32), 0.25))


def test_the_published_row_to_the_unit():
    with torch.device("meta"):
        model = stvit.Model(stvit.Config(patch=4), image_size=224, num_classes=1000, in_chans=3)
    assert sum(p.numel() for p in model.parameters()) == 28_300_102
    starts = [module.shift for module in model.modules() if isinstance(module, WindowAttention)]
    assert starts == [0, 3, 0, 3, 0, 0, 0]


def test_all_mistakes_are_told_at_once():
    wrong = {"patch": 2, "dim": 9, "heads": 2, "token_depth": 0, "drop_path": 1.0}
    with pytest.raises(ValueError, match=r"no window of 4 to 14 .*\[34, 17, 9, 5\].*such as") as e:
        models.build("stvit", wrong, image_size=68, num_classes=2)
    for part in ("heads=2 must divide dim=9", "token_depth must", "drop_path must lie in [0, 1)"):
        assert part in str(e.value)
    with pytest.raises(ValueError, match="samples=5 must be at most the window's 4"):
        models.build("stvit", SMALL | {"samples": 5}, image_size=56, num_classes=2)
