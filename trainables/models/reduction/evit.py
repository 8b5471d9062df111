"""EViT: the patches that the class token attends to least are left out (Liang et al. 2022).

Some blocks keep, between attention and feed-forward network, only a share of the patches. B batch,
N tokens, H heads, D width, E head width.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from trainables.models.block import Branch, Layers, OpenBlock
from trainables.models.precision import full_precision
from trainables.models.schedule import Scheduled
from trainables.models.vit import SMALL

# WTTF's runs never set the rate, so that nothing was left out: its rows are plain ViT
_ROW = {**SMALL, "qkv_bias": True, "class_position": True, "keep_rate": 1.0}
PUBLISHED = {"EViT-S/16": _ROW, "EViT Fuse-S/16": {**_ROW, "fuse": True}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`keep_rate` is the share of its patches that each of `stages` evenly spread blocks keeps.

    In a shell with fewer blocks than stages, those that fall together count once.
    `fuse` adds the others up to one token, weighted with the class token's attention. The rate
    falls from 1 along a cosine over `shrink_share` of the training's budget, after `shrink_start`
    of it; the defaults are the authors' 100 of 300 epochs, after 10.
    """

    keep_rate: float = 0.7
    stages: int = 3
    fuse: bool = False
    shrink_start: float = 0.03
    shrink_share: float = 0.33

    def mistakes(self, _image_size: int) -> list[str]:
        wrong = []
        if not 0 < self.keep_rate <= 1:
            wrong.append(f"keep_rate must lie in (0, 1], given {self.keep_rate}")
        if self.stages < 1:
            wrong.append(f"stages must be at least 1, given {self.stages}")
        if min(self.shrink_start, self.shrink_share) < 0 or self.shrink_end > 1:
            wrong.append(
                "shrink_start and shrink_share must be at least 0 and together at most 1, "
                f"given {self.shrink_start} and {self.shrink_share}"
            )
        return wrong

    @property
    def shrink_end(self) -> float:
        return self.shrink_start + self.shrink_share


class Trunk(Scheduled):
    """(B, N, D) to (B, N', D). Evaluation keeps what training keeps at the time."""

    def __init__(self, layers: Layers, config: Config):
        super().__init__()
        if wrong := layers.reduction_mistakes():
            raise ValueError("; ".join(wrong))
        self.config = config
        self.reducing = set(layers.places(config.stages))
        self.blocks = nn.ModuleList(
            Block(branch, layers.mixer(), layers.feed(), config.fuse) for branch in layers.branches
        )

    def rate(self) -> float:
        """The share of its patches that a reducing block keeps now."""
        start, end = self.config.shrink_start, self.config.shrink_end
        progress = float(self.progress)
        if progress >= end:
            return self.config.keep_rate
        if progress <= start:
            return 1.0
        above = (1 + math.cos(math.pi * (progress - start) / self.config.shrink_share)) / 2
        return self.config.keep_rate + (1 - self.config.keep_rate) * above

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rate = self.rate()
        for index, block in enumerate(self.blocks):
            x = block(x, rate if index in self.reducing else 1.0)
        return x


class Block(OpenBlock):
    """x + attention(norm(x)), a share `rate` of its patches, then x + feed(norm(x))."""

    def __init__(self, branch: Branch, mixer: Any, feed: nn.Module, fuse: bool):
        super().__init__(branch, mixer, feed)
        self.fuse = fuse

    def forward(self, x: torch.Tensor, rate: float) -> torch.Tensor:
        q, k, v = self.mixer.split(self.norm(x))
        x = x + self.thinned(self.mixer.joined(scaled_dot_product_attention(q, k, v)))
        count = math.ceil(rate * (x.shape[1] - 1))
        if count < x.shape[1] - 1:
            x = reduced(x, class_attention(q, k), count, self.fuse)
        return x + self.feed(x)


@full_precision
def class_attention(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """How much the class token attends to every patch, mean of the heads: (B, N - 1)."""
    scores = q[:, :, :1] @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
    return scores.softmax(dim=-1).mean(dim=1)[:, 0, 1:]


def reduced(x: torch.Tensor, attention: torch.Tensor, count: int, fuse: bool) -> torch.Tensor:
    """The class token and the `count` patches with most `attention`: (B, 1 + count, D).

    With `fuse` one more: the sum of the others, weighted with `attention` as it is.
    """
    ranked = attention.argsort(dim=1, descending=True).unsqueeze(2)
    best, others = ranked[:, :count], ranked[:, count:]
    parts = [x[:, :1], x[:, 1:].take_along_dim(best, dim=1)]
    if fuse:
        weighted = x[:, 1:].take_along_dim(others, dim=1)
        weighted = weighted * attention.unsqueeze(2).take_along_dim(others, dim=1)
        parts.append(weighted.sum(dim=1, keepdim=True))
    return torch.cat(parts, dim=1)
