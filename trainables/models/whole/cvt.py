"""CvT: convolutions embed the tokens and project them to queries, keys and values (Wu et al. 2021).

Sections 3.1 and 3.2; CvT-13 of table 2. B batch, N tokens, H heads, D width, E = D / H.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from trainables.models.block import MLP, Branch, PreNorm, rising
from trainables.models.geometry import Geometry
from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import WholeModel

PUBLISHED = {"CvT-13": {}}
_GROWTH = (1, 3, 6)  # width and heads of the three stages, in those of the first
_EMBEDS = ((7, 4, 2), (3, 2, 1), (3, 2, 1))  # kernel, stride, padding
_NORM_EPS = 1e-5
_RANGES = {
    "width": (1, 4096),
    "heads": (1, 256),
    "depth_1": (1, 100),
    "depth_2": (1, 100),
    "depth_3": (1, 100),
    "mlp_ratio": (1, 16),
    "kv_stride": (1, 16),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`width` channels and `heads` in the first stage; 3 and 6 times as many in those after it.

    `depth_1` to `depth_3` are the blocks of the stages, `kv_stride` that of the convolution before
    keys and values. `drop_path` is the rate of the last block, from 0 at the first it rises
    linearly. The projections have batch norms over all positions of all workers' batches: few
    images make them noisy, as the last map is small. `faithful` divides the logits by √D, as the
    authors' program does, instead of √E.
    """

    width: int = 64
    heads: int = 1
    depth_1: int = 1
    depth_2: int = 2
    depth_3: int = 10
    mlp_ratio: float = 4.0
    kv_stride: int = 2
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True
    faithful: bool = False

    def mistakes(self, image_size: int) -> list[str]:
        wrong = range_mistakes(self, **_RANGES)
        if self.heads > 0 and self.width % self.heads:
            wrong.append(f"heads={self.heads} must divide width={self.width}")
        if image_size < 3:
            wrong.append(f"CvT needs at least 3 px (such as 56 or 224), given {image_size}")
        return wrong

    def stages(self, image_size: int) -> list[Geometry]:
        """The tokens of the three stages; the last has a class token."""
        found, side = [], image_size
        for growth, (kernel, stride, padding) in zip(_GROWTH, _EMBEDS, strict=True):
            side = (side + 2 * padding - kernel) // stride + 1
            found.append(
                Geometry(
                    width=growth * self.width,
                    heads=growth * self.heads,
                    grid=(side, side),
                    prefix=int(growth == _GROWTH[-1]),
                )
            )
        return found


class Projection(nn.Module):
    """Depthwise convolution of the map, then a linear layer: (B, N, D) to (B, H, N', E).

    The class token goes past the convolution.
    """

    def __init__(self, geometry: Geometry, stride: int):
        super().__init__()
        D, self.geometry = geometry.width, geometry
        self.local = nn.Conv2d(D, D, 3, stride=stride, padding=1, groups=D, bias=False)
        self.norm = nn.BatchNorm2d(D)
        self.linear = nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        prefix, grid = self.geometry.prefix, self.geometry.grid
        maps = x[:, prefix:].transpose(1, 2).unflatten(2, grid)
        patches = self.norm(self.local(maps)).flatten(2).transpose(1, 2)
        x = self.linear(torch.cat((x[:, :prefix], patches), dim=1))
        return x.unflatten(-1, (self.geometry.heads, -1)).transpose(1, 2)


class ConvAttention(nn.Module):
    """Softmax attention between convolutional projections, (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        D = geometry.width
        self.q = Projection(geometry, 1)
        self.k, self.v = (Projection(geometry, config.kv_stride) for _ in "kv")
        self.out = nn.Linear(D, D)
        self.scale = D**-0.5 if config.faithful else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        mixed = scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Embed(nn.Module):
    """Overlapping patches of a map, normed, behind the class token: (B, C, h, w) to (B, N, D)."""

    def __init__(self, channels: int, geometry: Geometry, window: tuple[int, int, int]):
        super().__init__()
        self.patches = nn.Conv2d(channels, geometry.width, *window)
        self.norm = nn.LayerNorm(geometry.width, eps=_NORM_EPS)
        if geometry.prefix:
            self.class_token = nn.Parameter(torch.randn(1, 1, geometry.width) * 0.02)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.patches(maps).flatten(2).transpose(1, 2))
        if not hasattr(self, "class_token"):
            return x
        return torch.cat((self.class_token.expand(len(x), -1, -1), x), dim=1)


class Model(WholeModel):
    """Images (B, C, H, W) to logits (B, classes), of any image size from 3 px.

    The head reads the class token alone, whose query goes past the convolution: that of the last
    block's queries learns nothing. The published count has it.
    """

    def assemble(self, config: Config, image_size: int, num_classes: int, in_chans: int) -> None:
        self.geometries = config.stages(image_size)
        widths = (in_chans, *(geometry.width for geometry in self.geometries))
        self.embeds = nn.ModuleList(map(Embed, widths, self.geometries, _EMBEDS))
        depths = (config.depth_1, config.depth_2, config.depth_3)
        rates = iter(rising(config.drop_path, sum(depths)))
        self.blocks = nn.ModuleList(
            nn.Sequential(*(self._block(geometry, next(rates)) for _ in range(depth)))
            for geometry, depth in zip(self.geometries, depths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=_NORM_EPS)
        self.head = nn.Linear(widths[-1], num_classes)

    def _block(self, geometry: Geometry, drop_path: float) -> PreNorm:
        config, D = self.config, geometry.width
        branch = Branch(
            width=D,
            dropout=config.dropout,
            drop_path=drop_path,
            layer_scale=None,
            norm_eps=_NORM_EPS,
        )
        feed = MLP(D, round(config.mlp_ratio * D), config.dropout)
        return PreNorm(branch, ConvAttention(geometry, config), feed)

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        x = maps = images
        for embed, blocks, geometry in zip(self.embeds, self.blocks, self.geometries, strict=True):
            x = blocks(embed(maps))
            if not geometry.prefix:
                maps = x.transpose(1, 2).unflatten(2, geometry.grid)
        return self.head(self.norm(x[:, 0]))
