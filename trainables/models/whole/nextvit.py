"""Next-ViT: convolution blocks with one attention block at the end of a group (Li et al. 2022).

As timm builds it. Batch norm throughout, over the batches of all workers: a batch of fewer than
about 8 images makes its statistics noisy, and with them every validation. Of any image size from
32 px.
"""

from dataclasses import dataclass
from typing import Any

import torch

from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import TimmModel

PUBLISHED = {"NextViT-S": {}}
GROUP = 5  # blocks of the third stage: four of convolution, one of attention


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`groups` of five blocks make the third stage: 2 in Next-ViT-S, 4 in B, 6 in L.

    The channels are the published ones, which timm holds fixed.
    """

    groups: int = 2
    mix_ratio: float = 0.75
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = range_mistakes(self, groups=(1, 100))
        if self.mix_ratio not in (0.25, 0.5, 0.75):
            wrong.append(f"mix_ratio must be one of 0.25, 0.5, 0.75, given {self.mix_ratio}")
        if image_size < 32:
            wrong.append(f"Next-ViT needs at least 32 px (such as 56 or 224), given {image_size}")
        return wrong


class Model(TimmModel):
    """timm's NextViT."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:  # noqa: ARG004
        from timm.models.nextvit import NextViT

        return NextViT(
            depths=(3, 4, GROUP * config.groups, 3),
            mix_block_ratio=config.mix_ratio,
            proj_drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )
