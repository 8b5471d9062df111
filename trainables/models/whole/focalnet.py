"""FocalNet: context gathered by convolutions instead of attention (Yang et al. 2022).

As timm builds it, with small receptive fields. Of any image size from 32 px.
"""

from dataclasses import dataclass
from typing import Any

import torch

from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import TimmModel

PUBLISHED = {"FocalNet-Ti-Srf": {}, "FocalNet-S-Srf": {"depth": 18}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`width` is the first stage's, doubled by each next one; stages of 2, 2, `depth`, 2 blocks.

    `levels` of context are gathered by convolutions; the first has `focal_window` positions per
    side.
    """

    width: int = 96
    depth: int = 6
    levels: int = 2
    focal_window: int = 3
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = range_mistakes(self, width=(1, 8192), depth=(1, 1000), levels=(1, 8))
        if self.focal_window % 2 == 0 or not 1 <= self.focal_window <= 31:
            wrong.append(f"focal_window must be odd and at most 31, given {self.focal_window}")
        if image_size < 32:
            wrong.append(f"FocalNet needs at least 32 px (such as 56 or 224), given {image_size}")
        return wrong


class Model(TimmModel):
    """timm's FocalNet."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:  # noqa: ARG004
        from timm.models.focalnet import FocalNet

        return FocalNet(
            embed_dim=config.width,
            depths=(2, 2, config.depth, 2),
            focal_levels=(config.levels,) * 4,
            focal_windows=(config.focal_window,) * 4,
            proj_drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )
