"""CoaT: co-scale attention across parallel scales (Xu et al. 2021), as timm builds it."""

from dataclasses import dataclass
from typing import Any

import torch

from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import TimmModel

PUBLISHED = {"Coat-Ti": {}}
STRIDE = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The defaults are CoaT-Ti: four scales of `dim` channels.

    `serial_depth` blocks at each scale follow each other, then `parallel_depth` blocks exchange
    between the scales.
    """

    dim: int = 152
    serial_depth: int = 2
    parallel_depth: int = 6
    heads: int = 8
    mlp_ratio: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = range_mistakes(
            self,
            dim=(1, 65_536),
            serial_depth=(1, 1000),
            parallel_depth=(1, 1000),
            heads=(4, 4096),
            mlp_ratio=(1 / 16, 64),
        )
        if self.heads > 0 and self.dim % self.heads:
            wrong.append(f"heads={self.heads} must divide dim={self.dim}")
        if self.dim % 8:
            wrong.append(f"dim must be a multiple of 8, given {self.dim}")
        if image_size % STRIDE:
            wrong.append(
                f"CoaT needs an image size that is a multiple of {STRIDE} px (such as 64, 192, 224 "
                f"or 384), given {image_size}"
            )
        return wrong


def _windows(heads: int) -> dict[int, int]:
    """How many heads see relative positions within 3, 5 and 7: as published, 2, 3 and 3 of 8."""
    narrow, middle = heads // 4, 3 * heads // 8
    return {3: narrow, 5: middle, 7: heads - narrow - middle}


class Model(TimmModel):
    """timm's CoaT."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:
        from timm.models.coat import CoaT

        dim, depth, ratio = config.dim, config.serial_depth, config.mlp_ratio
        return CoaT(
            img_size=image_size,
            patch_size=4,
            embed_dims=(dim, dim, dim, dim),
            serial_depths=(depth, depth, depth, depth),
            parallel_depth=config.parallel_depth,
            num_heads=config.heads,
            crpe_window=_windows(config.heads),
            mlp_ratios=(ratio, ratio, ratio, ratio),
            proj_drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )
