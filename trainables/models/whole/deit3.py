"""DeiT III: the plain ViT with LayerScale (Touvron et al. 2022), as timm builds it."""

from dataclasses import dataclass
from typing import Any

import torch

from trainables.models.geometry import Patches
from trainables.models.timm_model import TimmModel

PUBLISHED = {"DeiT-S/16": {"depth": 12, "dim": 384, "heads": 6, "patch": 16}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Patches):
    """`drop_path` is the last block's, rising linearly; `layer_scale` the initial LayerScale."""

    depth: int = 12
    dim: int = 384
    heads: int = 6
    dropout: float = 0.0
    drop_path: float = 0.0
    layer_scale: float = 1e-6
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = self.patch_mistakes(image_size)
        if self.heads < 1 or self.dim % max(1, self.heads):
            wrong.append(f"heads={self.heads} must divide dim={self.dim}")
        if not 1 <= self.depth <= 1000:
            wrong.append(f"depth must lie between 1 and 1000, given {self.depth}")
        return wrong


class Model(TimmModel):
    """timm's VisionTransformer with the settings of its `deit3_*` models."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> Any:
        from timm.models.vision_transformer import VisionTransformer

        return VisionTransformer(
            img_size=image_size,
            patch_size=config.patch_size(image_size),
            embed_dim=config.dim,
            depth=config.depth,
            num_heads=config.heads,
            no_embed_class=True,
            init_values=config.layer_scale,
            proj_drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )

    def at(self, _image_size: int) -> Config:
        return self.config.with_patch_of(self.image_size)

    def resampled(self, source: "Model") -> dict[str, torch.Tensor]:
        """Positions follow the grid, bicubic."""
        from timm.layers.pos_embed import resample_abs_pos_embed

        new = list(self.body.patch_embed.grid_size)
        position = resample_abs_pos_embed(source.body.pos_embed, new, num_prefix_tokens=0)
        return {"body.pos_embed": position}
