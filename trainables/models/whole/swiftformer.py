"""SwiftFormer: additive attention with one global query (Shaker et al. 2023).

As timm builds it. Batch norm throughout, over the batches of all workers: a batch of fewer than
about 8 images makes its statistics noisy, and with them every validation. Of any image size from
32 px.
"""

from typing import Any

import torch

from trainables.models.scaling import StageFactors
from trainables.models.whole_model import TimmModel

PUBLISHED = {"SwiftFormer": {}}
DEPTHS, CHANNELS = (3, 3, 9, 6), (48, 64, 168, 224)


class Config(StageFactors):
    """The stages are those of SwiftFormer-S."""


class Model(TimmModel):
    """timm's SwiftFormer, without its head for distillation."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:  # noqa: ARG004
        from timm.models.swiftformer import SwiftFormer

        class Undistilled(SwiftFormer):
            """With one head: timm always adds a second one and averages both."""

            def __init__(self, **given: Any):
                super().__init__(**given)
                self.head_dist = torch.nn.Identity()

            def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
                x = self.head_drop(x.mean(dim=(2, 3)))
                return x if pre_logits else self.head(x)

            def get_classifier(self) -> Any:
                return self.head

        return Undistilled(
            layers=list(config.blocks(DEPTHS)),
            embed_dims=list(config.channels(CHANNELS)),
            proj_drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )
