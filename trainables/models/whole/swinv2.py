"""Swin V2: cosine attention in shifting windows (Liu et al. 2022), as timm builds it.

Configured as Swin, and of the same image sizes.
"""

from typing import Any

import torch

from trainables.models.whole.swin import Config
from trainables.models.whole_model import TimmModel

PUBLISHED = {"SwinV2-Ti-W/7/4": {}}


class Model(TimmModel):
    """timm's SwinTransformerV2."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:
        from timm.models.swin_transformer_v2 import SwinTransformerV2, WindowAttention

        class Attention(WindowAttention):
            """Not autocast: padding is zero, and fp16 cannot divide it by a length of 1e-12."""

            def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
                with torch.autocast(x.device.type, enabled=False):
                    return super().forward(x.to(self.qkv.weight.dtype), mask)

        model = SwinTransformerV2(**config.timm(image_size), **sizes)
        for module in model.modules():
            if isinstance(module, WindowAttention):
                module.__class__ = Attention
        return model
