"""DeiT III: the plain ViT with LayerScale (Touvron et al. 2022), as timm builds it."""

from dataclasses import dataclass
from typing import Any

from trainables.models.geometry import Patches
from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import TimmVisionTransformer

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
        wrong += range_mistakes(self, depth=(1, 1000), dim=(1, 65_536), heads=(1, 4096))
        if self.heads > 0 and self.dim % self.heads:
            wrong.append(f"heads={self.heads} must divide dim={self.dim}")
        return wrong


class Model(TimmVisionTransformer):
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
