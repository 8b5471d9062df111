"""EfficientFormerV2: convolutions first, attention in the last stages (Li et al. 2023).

As timm builds it. Batch norm throughout, over the batches of all workers: a batch of fewer than
about 8 images makes its statistics noisy, and with them every validation.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch

from trainables.models.geometry import Geometry
from trainables.models.resize import over_grid
from trainables.models.scaling import StageFactors
from trainables.models.whole_model import TimmModel

PUBLISHED = {"EfficientFormerV2-S0": {}}
DEPTHS, CHANNELS = (2, 2, 6, 4), (32, 48, 96, 176)
ATTENTION_BLOCKS = 2  # the last ones of the two last stages


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(StageFactors):
    """The stages are those of EfficientFormerV2-S0."""

    def mistakes(self, image_size: int) -> list[str]:
        wrong = StageFactors.mistakes(self, image_size)
        if math.ceil(image_size / 16) % 2:
            wrong.append(
                "EfficientFormerV2 halves its map of a sixteenth of the image, which must have an "
                f"even side (such as at 64, 192, 224 or 384 px), given {image_size} px"
            )
        return wrong


def _fitted(ratio: Any, blocks: int) -> Any:
    """A stage's MLP ratios for another number of blocks."""
    if not isinstance(ratio, tuple):
        return ratio
    return tuple(ratio[min(index, len(ratio) - 1)] for index in range(blocks))


class Model(TimmModel):
    """timm's EfficientFormerV2, without its head for distillation."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:
        from timm.models.efficientformer_v2 import (
            EfficientFormer_expansion_ratios,
            EfficientFormerV2,
        )

        ratios = EfficientFormer_expansion_ratios["S0"]
        depths = config.blocks(DEPTHS)
        # a scaled stage takes its ratios from the published blocks in order, the last ones repeated
        fitted = [_fitted(ratio, blocks) for ratio, blocks in zip(ratios, depths, strict=True)]
        model = EfficientFormerV2(
            depths=depths,
            img_size=image_size,
            embed_dims=config.channels(CHANNELS),
            mlp_ratios=tuple(fitted),
            num_vit=ATTENTION_BLOCKS,
            distillation=False,
            proj_drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )
        for module in model.modules():
            if hasattr(module, "attention_bias_cache"):
                module.register_load_state_dict_post_hook(_forget)
        return model

    def classifier(self) -> torch.nn.Module:
        return self.body.head

    def resampled(self, source: "Model") -> dict[str, torch.Tensor]:
        """Biases, one for each distance in rows and columns, follow the grid, bicubic."""
        old, fresh, state = source.state_dict(), self.state_dict(), {}
        for name in (name for name in fresh if name.endswith("attention_biases")):
            before, after = (_distances(tensors[name]) for tensors in (old, fresh))
            state[name] = over_grid(old[name].T, before, after).T
        return state


def _forget(module: Any, _keys: Any) -> None:
    """Drop what timm remembers of the biases in evaluation, which outlives a change of weights."""
    module.attention_bias_cache.clear()


def _distances(biases: torch.Tensor) -> Geometry:
    """The grid of distances of (H, rows * columns) biases."""
    side = math.isqrt(biases.shape[1])
    return Geometry(width=len(biases), heads=1, grid=(side, side), prefix=0)
