"""ViT-Base with pre-trained weights, fine-tuned or frozen but for its head.

Dosovitskiy et al. 2021, as timm builds it: 16 px patches, depth 12, width 768, 12 heads. The galaxy
paper took `google/vit-base-patch16-224` (ImageNet-21k, then 1k); timm has the same weights.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch

from trainables.models import pretrained
from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import TimmVisionTransformer, positions

REPOSITORY = "timm/vit_base_patch16_224.orig_in21k_ft_in1k"
PATCH = 16
_DROPPED = ("head.", "pre_logits.", "vit.pooler.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`weights`: `hub`, the path of a .safetensors file (names of timm or transformers), `random`.

    `sha256` is what such a file must have, if given. The head is always new.
    """

    weights: str = pretrained.RANDOM
    sha256: str = ""
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = range_mistakes(self)
        if image_size % PATCH or not image_size:
            wrong.append(
                f"ViT-Base needs an image size that is a multiple of its patch of {PATCH} px "
                f"(such as 64, 192, 224 or 384), given {image_size}"
            )
        return wrong + pretrained.mistakes(self.weights, self.sha256, REPOSITORY)


class Model(TimmVisionTransformer):
    """timm's VisionTransformer with the settings of `vit_base_patch16_224`."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> torch.nn.Module:
        from timm.models.vision_transformer import VisionTransformer

        model = VisionTransformer(
            img_size=image_size,
            patch_size=PATCH,
            proj_drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )
        if config.weights != pretrained.RANDOM and not model.patch_embed.proj.weight.is_meta:
            _fill(model, pretrained.load(config.weights, config.sha256, REPOSITORY))
        return model


def _fill(model: Any, tensors: dict[str, torch.Tensor]) -> None:
    """Give `model` the tensors, all but the head's; raises ValueError if they are another's."""
    kept = {name: value for name, value in tensors.items() if not name.startswith(_DROPPED)}
    fresh = model.state_dict()
    wanted = {name for name in fresh if not name.startswith(_DROPPED)}
    if "pos_embed" in kept and kept["pos_embed"].shape[2:] == fresh["pos_embed"].shape[2:]:
        side = math.isqrt(kept["pos_embed"].shape[1] - 1)
        kept["pos_embed"] = positions(kept["pos_embed"], (side, side), model)
    odd = sorted(wanted ^ kept.keys())
    odd += sorted(n for n in wanted & kept.keys() if kept[n].shape != fresh[n].shape)
    if odd:
        few = ", ".join(odd[:3]) + (f" and {len(odd) - 3} more" if len(odd) > 3 else "")
        raise ValueError(f"weights: these are not ViT-Base's: they differ in {few}")
    model.load_state_dict(kept, strict=False)
