"""EfficientViT: multi-scale linear attention with ReLU (Cai et al. 2023, MIT-HAN lab).

As timm builds it. Batch norm throughout, over the batches of all workers: a batch of fewer than
about 8 images makes its statistics noisy, and with them every validation. Of any image size from
32 px.
"""

from typing import Any, cast

import torch

from trainables.models.block import DropPath
from trainables.models.scaling import StageFactors
from trainables.models.whole_model import TimmModel

PUBLISHED = {"Efficient ViT-B-2": {}}
DEPTHS, CHANNELS = (1, 3, 4, 4, 6), (24, 48, 96, 192, 384)
HEAD_CHANNELS, HEAD_DIM = (2304, 2560), 32


class Config(StageFactors):
    """The stages are those of EfficientViT-B2."""


class Model(TimmModel):
    """timm's EfficientVit, with drop path around its residual branches."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:  # noqa: ARG004
        from timm.models.efficientvit_mit import EfficientVit, ResidualBlock

        model = EfficientVit(
            widths=config.channels(CHANNELS),
            depths=config.blocks(DEPTHS),
            head_dim=HEAD_DIM,
            head_widths=config.channels(HEAD_CHANNELS),
            drop_rate=config.dropout,
            **sizes,
        )
        branches = [m for m in model.modules() if isinstance(m, ResidualBlock) and m.shortcut]
        for index, block in enumerate(branches):
            rate = config.drop_path * index / max(1, len(branches) - 1)
            block.main = torch.nn.Sequential(cast(torch.nn.Module, block.main), DropPath(rate))
        return model
