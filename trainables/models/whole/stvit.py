"""STViT: a few semantic tokens stand for the map inside a Swin transformer (Chang et al. 2023).

Stages 1, 2 and 4 are those of Swin (Liu et al. 2021). In stage 3 every window is summed up in a
few tokens, further blocks see only these, and the last block recovers the map from them.
Published for 224 px, here of any size whose maps fit a window. B batch, n windows per side, w
positions and s semantic tokens per side of one, T = n s, D channels; maps are (B, side, side, D).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import isqrt

import torch
from torch import nn
from torch.nn.functional import adaptive_max_pool2d, scaled_dot_product_attention

from trainables.models.block import MLP, Branch, PreNorm
from trainables.models.geometry import Geometry, Patches
from trainables.models.ranges import range_mistakes
from trainables.models.resize import over_grid
from trainables.models.whole.hivit import Merge, RelativeAttention
from trainables.models.whole_model import WholeModel

WINDOWS = range(4, 15)  # sides that a window may have
MARGIN = 3  # positions by which a window of stage 3 looks at its neighbours
NORM_EPS = 1e-6  # the published row's; the authors' own network has 1e-5
_RANGES = {
    "dim": (1, 8192),
    "heads": (1, 512),
    "depth": (1, 500),
    "token_depth": (1, 1000),
    "window": (1, 64),
    "samples": (1, 64),
    "mlp_ratio": (1, 64),
}
PUBLISHED = {"STViT-Swin-Ti-W-7/4": {"patch": 4}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Patches):
    """`grid` or `patch` are those of the first stage; every stage halves the map.

    `dim` and `heads` are the first stage's, every stage doubles them. Stages 1, 2 and 4 have
    `depth` blocks, stage 3 has `token_depth` among its semantic tokens, `samples` per side of a
    window. Windows have the side nearest to `window` that fits the maps of all stages.
    `layer_scale` is the initial LayerScale of all blocks but the first of stage 3, `drop_path` the
    last block's rate, rising linearly.
    """

    dim: int = 96
    heads: int = 3
    depth: int = 2
    token_depth: int = 2
    window: int = 7
    samples: int = 3
    mlp_ratio: float = 4.0
    layer_scale: float = 1e-5
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def sides(self, image_size: int) -> list[int]:
        """The sides of the four stages' maps; an odd one is halved with a row of zeros."""
        grid = image_size // self.patch_size(image_size)
        return [-(-grid // 2**stage) for stage in range(4)]

    def windows(self, image_size: int) -> list[int]:
        """The side of a window in every stage, none if no size cuts all maps evenly."""
        sides = self.sides(image_size)
        fits = [w for w in WINDOWS if all(side % min(w, side) == 0 for side in sides)]
        nearest = sorted(fits, key=lambda size: abs(size - self.window))[:1]
        return [min(size, side) for size in nearest for side in sides]

    def mistakes(self, image_size: int) -> list[str]:
        wrong = self.patch_mistakes(image_size)
        windows, sides = ([], []) if wrong else (self.windows(image_size), self.sides(image_size))
        if sides and not windows:
            allowed = "such as a grid of 14, 28, 48, 56 or 64 in the first stage"
            wrong.append(f"no window of 4 to 14 positions cuts maps of {sides} evenly ({allowed})")
        if windows and self.samples > windows[2]:
            wrong.append(f"samples={self.samples} must be at most the window's {windows[2]}")
        wrong += range_mistakes(self, **_RANGES)
        if self.dim % max(1, self.heads):
            wrong.append(f"heads={self.heads} must divide dim={self.dim}")
        return wrong


def cut(maps: torch.Tensor, size: int) -> torch.Tensor:
    """(B, n size, n size, D) to windows (B, n n, size size, D), both in rows."""
    x = maps.unflatten(2, (-1, size)).unflatten(1, (-1, size))  # (B, n, size, n, size, D)
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def uncut(windows: torch.Tensor) -> torch.Tensor:
    """Undo `cut`."""
    n, size = isqrt(windows.shape[1]), isqrt(windows.shape[2])
    x = windows.unflatten(2, (size, size)).unflatten(1, (n, n))  # (B, n, n, size, size, D)
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class WindowAttention(RelativeAttention):
    """Attention within windows of a map, which may be shifted: (B, side, side, D) to the same."""

    apart: torch.Tensor

    def __init__(self, geometry: Geometry, window: int, *, shifted: bool):
        super().__init__(replace(geometry, grid=(window, window)))
        self.window, side = window, geometry.grid[0]
        self.shift = window // 2 if shifted and window < side else 0
        if self.shift:
            # what the shift brings into a window from the other end of the map is no neighbour
            came = (torch.arange(side) >= side - self.shift).int()
            zones = cut((2 * came[:, None] + came)[None, :, :, None], window)[0]  # (n n, w w, 1)
            self.register_buffer("apart", zones[:, None] != zones.mT[:, None], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = self.bias()
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
            bias = bias.masked_fill(self.apart, -torch.inf).repeat(len(x), 1, 1, 1)
        windows = cut(x, self.window)
        mixed = uncut(self.biased(windows.flatten(0, 1), bias).view_as(windows))
        return mixed.roll((self.shift, self.shift), dims=(1, 2)) if self.shift else mixed


class CrossBlock(nn.Module):
    """Tokens (B, N, D) ask sources (B, M, D); `fresh` ones forget themselves."""

    def __init__(self, branch: Branch, heads: int, hidden: int, *, fresh: bool = False):
        super().__init__()
        D, self.heads, self.fresh = branch.width, heads, fresh
        self.norm = branch.make_norm()
        # without a residual nothing would be left of a dropped path
        self.thin = (replace(branch, drop_path=0.0) if fresh else branch).thinned()
        self.q, self.kv, self.out = nn.Linear(D, D), nn.Linear(D, 2 * D), nn.Linear(D, D)
        self.feed = branch.around(MLP(D, hidden, branch.dropout))

    def forward(self, x: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
        q = self.q(self.norm(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(self.norm(sources)).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        found = self.thin(self.out(found))
        x = found if self.fresh else x + found
        return x + self.feed(x)


def swin_block(
    config: Config, geometry: Geometry, window: int, branch: Branch, index: int = 0
) -> nn.Module:
    """(B, side, side, D) to the same; every second block shifts its windows."""
    mixer = WindowAttention(geometry, window, shifted=index % 2 == 1)
    hidden = int(config.mlp_ratio * branch.width)
    return PreNorm(branch, mixer, MLP(branch.width, hidden, config.dropout))


class SemanticStage(nn.Module):
    """Stage 3: (B, side, side, D) to the same by way of a few semantic tokens."""

    def __init__(self, config: Config, branches: list[Branch], geometry: Geometry, window: int):
        super().__init__()
        (first, *others), self.window, self.samples = branches, window, config.samples
        side = geometry.grid[0] // window * self.samples
        self.semantic = replace(geometry, grid=(side, side))
        self.swin = swin_block(config, geometry, window, replace(first, layer_scale=None))
        hidden = int(config.mlp_ratio * first.width)
        self.summarise, self.focus, *within, self.recover = (
            CrossBlock(b, geometry.heads, hidden, fresh=i == 0) for i, b in enumerate(others)
        )
        self.within = nn.ModuleList(within)
        self.centres = nn.Parameter(torch.randn(1, side * side, first.width) * 0.02)

    def resampled(self, source: "SemanticStage") -> dict[str, torch.Tensor]:
        """The learned cluster centres follow the grid of semantic tokens, bicubic."""
        return {"centres": over_grid(source.centres, source.semantic, self.semantic)}

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        maps = self.swin(maps)
        x, tokens = maps.flatten(1, 2), self._summary(maps)
        centres = cut(self.centres.unflatten(1, self.semantic.grid), self.samples).flatten(1, 2)
        tokens = self.focus(tokens + centres, torch.cat((tokens, x), dim=1))
        for index, block in enumerate(self.within):
            parts = tokens if index % 2 else tokens.reshape(-1, self.samples**2, tokens.shape[-1])
            tokens = block(parts, parts).view_as(tokens)
        return self.recover(x, tokens).view_as(maps)

    def _summary(self, maps: torch.Tensor) -> torch.Tensor:
        """Every window's maxima ask the window and its margin: (B, n n s s, D), by windows."""
        windows = cut(maps, self.window).flatten(0, 1)
        squares = windows.transpose(1, 2).unflatten(2, (self.window, self.window))
        pooled = adaptive_max_pool2d(squares, self.samples).flatten(2).transpose(1, 2)
        sources = torch.cat((pooled, self._surroundings(maps)), dim=1)
        return self.summarise(pooled, sources).reshape(len(maps), -1, maps.shape[-1])

    def _surroundings(self, maps: torch.Tensor) -> torch.Tensor:
        """The windows with their margin, (B n n, positions, D), those at the edge moved inwards."""
        side = maps.shape[1]
        n, size = side // self.window, min(self.window + MARGIN, side)
        starts = [index * (side - size) // max(1, n - 1) for index in range(n)]
        squares = [maps[:, i : i + size, j : j + size] for i in starts for j in starts]
        return torch.stack(squares, dim=1).flatten(2, 3).flatten(0, 1)


def _stages(config: Config, image_size: int) -> Iterator[nn.Module]:
    dropout, scale = config.dropout, config.layer_scale
    branch = partial(Branch, dropout=dropout, layer_scale=scale, norm_eps=NORM_EPS)
    counts = (config.depth, config.depth, config.token_depth + 4, config.depth)
    rates = [config.drop_path * index / (sum(counts) - 1) for index in range(sum(counts))]
    for stage, side in enumerate(config.sides(image_size)):
        width, heads = config.dim * 2**stage, config.heads * 2**stage
        geometry = Geometry(width=width, heads=heads, grid=(side, side), prefix=0)
        window = config.windows(image_size)[stage]
        branches = [branch(width=width, drop_path=rates.pop(0)) for _ in range(counts[stage])]
        if stage:
            yield Merge(width // 2, NORM_EPS)
        if stage == 2:
            yield SemanticStage(config, branches, geometry, window)
        else:
            for index, own in enumerate(branches):
                yield swin_block(config, geometry, window, own, index)


class Model(WholeModel):
    """Images (B, C, H, W) to logits (B, classes)."""

    def assemble(self, config: Config, image_size: int, num_classes: int, in_chans: int) -> None:
        patch, last = config.patch_size(image_size), 8 * config.dim
        self.embed = nn.Conv2d(in_chans, config.dim, kernel_size=patch, stride=patch)
        self.embed_norm = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.stages = nn.Sequential(*_stages(config, image_size))
        self.norm = nn.LayerNorm(last, eps=NORM_EPS)
        self.head = nn.Linear(last, num_classes)

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stages(self.embed_norm(self.embed(images).movedim(1, -1)))
        return self.head(self.norm(x).flatten(1, 2).mean(dim=1))
