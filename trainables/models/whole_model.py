"""What all models have in common that are no plain shell; and those of timm among them."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from trainables.models.geometry import Patches


class WholeModel(nn.Module):
    """Images (B, C, H, W) of one size to logits (B, classes).

    A subclass makes its parts in `assemble`, `head` among them, and computes `logits`.
    """

    head: nn.Module

    def __init__(self, config: Any, *, image_size: int, num_classes: int, in_chans: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        self._sizes = {"num_classes": num_classes, "in_chans": in_chans}
        self.assemble(config, image_size, num_classes, in_chans)
        if not config.fine_tune:
            self.requires_grad_(False)
            self.classifier().requires_grad_(True)

    def assemble(self, config: Any, image_size: int, num_classes: int, in_chans: int) -> None:
        raise NotImplementedError

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def classifier(self) -> nn.Module:
        """The layer that is trained even if nothing else is."""
        return self.head

    def rebuilt(self, image_size: int) -> "WholeModel":
        """A fresh model of this configuration, its patch in pixels kept, for another image size."""
        config: Any = self.config
        if isinstance(self.config, Patches):
            config = self.config.with_patch_of(self.image_size)
        if wrong := config.mistakes(image_size):
            raise ValueError("; ".join(wrong))
        return type(self)(config, image_size=image_size, **self._sizes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(
                f"built for {self.image_size} px, given {tuple(images.shape[-2:])} px images"
            )
        return self.logits(images)


class TimmModel(WholeModel):
    """The timm model that `make` returns.

    Subclasses import timm inside `make`: its import takes seconds, which others should not wait.
    """

    body: Any

    @staticmethod
    def make(config: Any, image_size: int, **sizes: Any) -> Any:
        """The timm model; `sizes` are num_classes and in_chans."""
        raise NotImplementedError

    def assemble(self, config: Any, image_size: int, num_classes: int, in_chans: int) -> None:
        self.body = self.make(config, image_size, num_classes=num_classes, in_chans=in_chans)

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)

    def classifier(self) -> nn.Module:
        return self.body.get_classifier()


class TimmVisionTransformer(TimmModel):
    """One whose positions are its parameter `pos_embed`, those of class tokens first."""

    def resampled(self, source: "TimmVisionTransformer") -> dict[str, torch.Tensor]:
        """Positions follow the grid, bicubic; those of class tokens are kept."""
        grid = source.body.patch_embed.grid_size
        return {"body.pos_embed": positions(source.body.pos_embed, grid, self.body)}


def positions(old: torch.Tensor, grid: Sequence[int], model: Any) -> torch.Tensor:
    """Positions (1, N, D) of a `grid` behind class tokens, as `model`, of timm, needs them."""
    from timm.layers.pos_embed import resample_abs_pos_embed

    new, prefix = list(model.patch_embed.grid_size), old.shape[1] - math.prod(grid)
    return resample_abs_pos_embed(old, new, list(grid), num_prefix_tokens=prefix)
