"""The plain vision transformer shell (Dosovitskiy et al. 2021), into which the variants are put.

B batch, N tokens, D width. Everything that is not the idea of a variant is written here and in
`block` once: patches, positions, class token, residual blocks, head.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from trainables.models.block import (
    BLOCKS,
    MLP,
    Branch,
    Layers,
    NormMaker,
    layer_norm,
    plain,
    rising,
)
from trainables.models.class_attention import ClassBlock
from trainables.models.geometry import Geometry, Patches
from trainables.models.ranges import range_mistakes
from trainables.models.resize import over_grid

# the shell of WTTF's models (WTTF, model rows "-Ti/16", "-S/16", "-B/16")
PLAIN: Mapping[str, Any] = MappingProxyType(
    {"patch": 16, "depth": 12, "class_position": False, "norm_eps": 1e-6}
)
TINY: Mapping[str, Any] = MappingProxyType({**PLAIN, "dim": 192, "heads": 3})
SMALL: Mapping[str, Any] = MappingProxyType({**PLAIN, "dim": 384, "heads": 6})
_VIT = {"qkv_bias": True, "layer_scale": 1e-4}
PUBLISHED = {
    "ViT-T/16": {**TINY, **_VIT},
    "ViT-S/16": {**SMALL, **_VIT},
    "ViT-B/16": {**PLAIN, **_VIT, "dim": 768, "heads": 12},
}
POOLS = ("class", "mean", "mean_before_norm")
# far beyond any published model: what is larger is a slip, and would take minutes to refuse
_MOST_BLOCKS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Patches):
    """The shell's hyperparameters.

    `mlp_dim` None means
    4 `dim`. `drop_path` is the rate of the last block, from 0 at the first it rises linearly.
    `layer_scale` is the initial value of LayerScale, None leaves it out. `class_position` gives
    the class token a position of its own; `class_depth` adds layers of class attention and keeps
    that token out of the blocks before them. `pool`: the head reads the `class` token or the
    `mean` of the patches, each normed, or their mean, normed afterwards (`mean_before_norm`, which
    is what timm does). `block`: `pre_norm`, `post_norm` or `one_residual`. `fine_tune` False
    freezes all but the head.
    """

    depth: int
    dim: int
    heads: int
    mlp_dim: int | None = None
    dropout: float = 0.0
    emb_dropout: float = 0.0
    drop_path: float = 0.0
    layer_scale: float | None = None
    class_token: bool = True
    class_position: bool = True
    class_depth: int = 0
    pool: str = "class"
    block: str = "pre_norm"
    norm_eps: float = 1e-5
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = self.patch_mistakes(image_size)
        wrong += range_mistakes(
            self,
            depth=(1, _MOST_BLOCKS),
            dim=(1, 65_536),
            heads=(1, 4096),
            mlp_dim=(1, 262_144),
            class_depth=(0, _MOST_BLOCKS),
        )
        for name, allowed in (("pool", POOLS), ("block", tuple(BLOCKS))):
            if getattr(self, name) not in allowed:
                wrong.append(
                    f"{name} must be one of {', '.join(allowed)}, given {getattr(self, name)!r}"
                )
        if not self.class_token and self.pool == "class":
            wrong.append("without a class token (class_token=False) pool must be 'mean'")
        if self.class_depth and self.pool != "class":
            wrong.append("class attention (class_depth above 0) needs pool='class'")
        return wrong

    def geometry(self, image_size: int) -> Geometry:
        """The tokens that a mixer meets."""
        side = image_size // self.patch_size(image_size)
        prefix = int(self.class_token and not self.class_depth)
        return Geometry(width=self.dim, heads=self.heads, grid=(side, side), prefix=prefix)


class VisionTransformer(nn.Module):
    """Images (B, C, H, W) to logits (B, classes).

    `mixer(geometry)` makes the token mixer of one block, `feed(width, hidden, dropout)` its
    feed-forward network, both modules from (B, N, D) to (B, N, D); `norm(width, eps)` its norms.
    `trunk(layers)` arranges them to what leads from the tokens to those that are read, perhaps
    fewer, class tokens first. With `weights_dropped` the shell's dropout falls on the weights of
    the mixer, which is then `mixer(geometry, dropout=rate)`, and no longer on the branches' ends.
    """

    def __init__(
        self,
        config: Config,
        mixer: Callable[..., nn.Module],
        feed: Callable[[int, int, float], nn.Module] = MLP,
        norm: NormMaker = layer_norm,
        trunk: Callable[[Layers], nn.Module] = plain,
        *,
        weights_dropped: bool = False,
        image_size: int,
        num_classes: int,
        in_chans: int,
    ):
        super().__init__()
        D, patch = config.dim, config.patch_size(image_size)
        hidden = config.mlp_dim or 4 * D
        self._again = {"mixer": mixer, "feed": feed, "norm": norm, "trunk": trunk}
        self._again |= {"num_classes": num_classes, "in_chans": in_chans}
        self._again |= {"weights_dropped": weights_dropped}
        self.config, self.image_size = config, image_size
        self.geometry = config.geometry(image_size)
        self.embed = nn.Conv2d(in_chans, D, kernel_size=patch, stride=patch)
        if config.class_token:
            self.class_token = nn.Parameter(torch.randn(1, 1, D) * 0.02)
        self.positioned = int(config.class_token and config.class_position)
        positions = math.prod(self.geometry.grid) + self.positioned
        self.position = nn.Parameter(torch.randn(1, positions, D) * 0.02)
        self.dropout = nn.Dropout(config.emb_dropout)
        branches = [
            Branch(
                width=D,
                dropout=0.0 if weights_dropped else config.dropout,
                drop_path=rate,
                layer_scale=config.layer_scale,
                norm_eps=config.norm_eps,
                norm=norm,
            )
            for rate in rising(config.drop_path, config.depth)
        ]
        dropped = {"dropout": config.dropout} if weights_dropped else {}
        self.blocks = trunk(
            Layers(
                geometry=self.geometry,
                branches=branches,
                mixer=partial(mixer, self.geometry, **dropped),
                feed=partial(feed, D, hidden, config.dropout),
                block=config.block,
                pool=config.pool,
            )
        )
        late = replace(branches[-1], drop_path=0.0, dropout=config.dropout)
        self.class_blocks = nn.ModuleList(
            ClassBlock(late, config.heads, hidden) for _ in range(config.class_depth)
        )
        self.norm = norm(D, config.norm_eps)
        self.head = nn.Linear(D, num_classes)
        if not config.fine_tune:
            self.requires_grad_(False)
            self.head.requires_grad_(True)

    def rebuilt(self, image_size: int) -> "VisionTransformer":
        """A fresh model of this configuration, its patch in pixels kept, for another image size."""
        config = self.config.with_patch_of(self.image_size)
        if wrong := config.mistakes(image_size):
            raise ValueError("; ".join(wrong))
        return VisionTransformer(config, **self._again, image_size=image_size)

    def resampled(self, source: "VisionTransformer") -> dict[str, torch.Tensor]:
        """Positions follow the grid, bicubic."""
        old, new = (replace(m.geometry, prefix=m.positioned) for m in (source, self))
        return {"position": over_grid(source.position, old, new)}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(
                f"built for {self.image_size} px, given {tuple(images.shape[-2:])} px images"
            )
        x = self.embed(images).flatten(2).transpose(1, 2)  # (B, patches, D)
        x = x + self.position[:, self.positioned :]
        if not self.config.class_token:
            return self._read(self.blocks(self.dropout(x)))
        class_token = self.class_token + self.position[:, : self.positioned].sum(1, keepdim=True)
        class_token = class_token.expand(len(x), -1, -1)
        if not self.config.class_depth:
            return self._read(self.blocks(self.dropout(torch.cat((class_token, x), dim=1))))
        x = self.blocks(self.dropout(x))
        for block in self.class_blocks:
            class_token = block(class_token, x)
        return self._read(class_token)

    def _read(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) to logits."""
        if self.config.pool == "mean_before_norm":
            return self.head(self.norm(x[:, self.geometry.prefix :].mean(dim=1)))
        if self.config.pool == "mean":
            return self.head(self.norm(x)[:, self.geometry.prefix :].mean(dim=1))
        return self.head(self.norm(x[:, :1])[:, 0])
