"""Swin: attention in windows that shift from block to block (Liu et al. 2021), as timm builds it.

Where a map is smaller than a window, the window shrinks to it; where it is not a multiple, the map
is padded. So every image size of at least 32 px is taken that 4 divides.
"""

from dataclasses import dataclass
from typing import Any

import torch

from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import TimmModel

PUBLISHED = {"Swin-Ti-W/7/4": {}, "Swin-S-W/7/4": {"depth": 18}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`width` is the first stage's, doubled by each next one; its heads are `head_dim` wide.

    The stages have 2, 2, `depth` and 2 blocks; `window` counts positions per side.
    """

    width: int = 96
    depth: int = 6
    head_dim: int = 32
    window: int = 7
    mlp_ratio: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = range_mistakes(
            self, width=(1, 8192), depth=(1, 1000), head_dim=(1, 8192), mlp_ratio=(1 / 16, 64)
        )
        if self.head_dim > 0 and self.width % self.head_dim:
            wrong.append(f"head_dim={self.head_dim} must divide width={self.width}")
        if not 2 <= self.window <= 64:
            wrong.append(f"window must lie between 2 and 64, given {self.window}")
        if image_size % 4 or image_size < 32:
            wrong.append(
                "Swin needs an image size of at least 32 px that is a multiple of 4 "
                f"(such as 56, 192 or 224), given {image_size}"
            )
        return wrong

    def timm(self, image_size: int) -> dict[str, Any]:
        """The same in timm's words."""
        heads = self.width // self.head_dim
        return {
            "img_size": image_size,
            "embed_dim": self.width,
            "depths": (2, 2, self.depth, 2),
            "num_heads": (heads, 2 * heads, 4 * heads, 8 * heads),
            "window_size": self.window,
            "mlp_ratio": self.mlp_ratio,
            "proj_drop_rate": self.dropout,
            "drop_path_rate": self.drop_path,
        }


class Model(TimmModel):
    """timm's SwinTransformer."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:
        from timm.models.swin_transformer import SwinTransformer

        return SwinTransformer(**config.timm(image_size), **sizes)

    def resampled(self, source: "Model") -> dict[str, torch.Tensor]:
        """Tables of relative positions follow a window that shrank, or grows again, bicubic."""
        from timm.layers.pos_embed_rel import resize_rel_pos_bias_table

        old, fresh, state = source.state_dict(), self.state_dict(), {}
        for path, module in self.named_modules():
            name = f"{path}.relative_position_bias_table"
            if name in old:
                window: Any = module.window_size
                state[name] = resize_rel_pos_bias_table(old[name], window, fresh[name].shape)
        return state
