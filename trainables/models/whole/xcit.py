"""XCiT: attention between channels instead of tokens (El-Nouby et al. 2021), as timm builds it.

Batch norm in its patch embedding, over the batches of all workers: fewer than about 8 images make
it noisy.
"""

from dataclasses import dataclass
from typing import Any

import torch

from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import TimmModel

PUBLISHED = {"XCiT-S-12/16": {}}
PATCHES = (8, 16)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The defaults are XCiT-S-12/16. `layer_scale` is the initial LayerScale of all branches."""

    depth: int = 12
    dim: int = 384
    heads: int = 8
    patch: int = 16
    layer_scale: float = 1.0
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = range_mistakes(self, depth=(1, 1000), dim=(1, 65_536), heads=(1, 4096))
        if self.patch not in PATCHES:
            wrong.append(f"patch must be one of 8, 16, given {self.patch}")
        elif image_size % self.patch:
            sizes = ", ".join(str(n * self.patch) for n in (4, 7, 14))
            wrong.append(
                f"XCiT with patch={self.patch} needs an image size that is a multiple of it "
                f"(such as {sizes}), given {image_size}"
            )
        if self.heads > 0 and self.dim % self.heads:
            wrong.append(f"heads={self.heads} must divide dim={self.dim}")
        if self.dim % 8:
            wrong.append(f"dim must be a multiple of 8, given {self.dim}")
        return wrong


class Model(TimmModel):
    """timm's Xcit. Nothing in it is bound to the number of tokens."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:
        from timm.models.xcit import Xcit

        return Xcit(
            img_size=image_size,
            patch_size=config.patch,
            embed_dim=config.dim,
            depth=config.depth,
            num_heads=config.heads,
            eta=config.layer_scale,
            tokens_norm=True,
            proj_drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )
