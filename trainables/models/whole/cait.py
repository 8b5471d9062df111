"""CaiT: talking heads, LayerScale and class attention (Touvron et al. 2021), as timm builds it."""

from dataclasses import dataclass
from typing import Any

import torch

from trainables.models.geometry import Patches
from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import TimmVisionTransformer

PUBLISHED = {"CaiT-S-24": {"patch": 16}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Patches):
    """The defaults are CaiT-S-24, whose patch is 16 px; `class_depth` layers of class attention."""

    depth: int = 24
    dim: int = 384
    heads: int = 8
    class_depth: int = 2
    layer_scale: float = 1e-5
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = self.patch_mistakes(image_size)
        wrong += range_mistakes(
            self, depth=(1, 1000), dim=(1, 65_536), heads=(1, 4096), class_depth=(1, 100)
        )
        if self.heads > 0 and self.dim % self.heads:
            wrong.append(f"heads={self.heads} must divide dim={self.dim}")
        return wrong


class Model(TimmVisionTransformer):
    """timm's Cait."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:
        from timm.models.cait import Cait

        return Cait(
            img_size=image_size,
            patch_size=config.patch_size(image_size),
            embed_dim=config.dim,
            depth=config.depth,
            num_heads=config.heads,
            depth_token_only=config.class_depth,
            init_values=config.layer_scale,
            proj_drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )
