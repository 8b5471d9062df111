"""FastViT: token mixing by re-parameterisable convolutions (Vasu et al. 2023).

As timm builds it. Batch norm throughout, over the batches of all workers: a batch of fewer than
about 8 images makes its statistics noisy, and with them every validation. Of any image size from
32 px.
"""

from typing import Any

import torch

from trainables.models.scaling import StageFactors
from trainables.models.whole_model import TimmModel

PUBLISHED = {"FastViT-12": {}}
DEPTHS, CHANNELS = (2, 2, 6, 2), (64, 128, 256, 512)


class Config(StageFactors):
    """The stages are those of FastViT-S12."""


class Model(TimmModel):
    """timm's FastVit, its branches not merged."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:  # noqa: ARG004
        from timm.models.fastvit import FastVit

        return FastVit(
            layers=config.blocks(DEPTHS),
            embed_dims=config.channels(CHANNELS),
            proj_drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )
