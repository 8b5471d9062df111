"""An architecture of timm as one of our models: fixed to its image size, frozen on request."""

from typing import Any, Protocol

import torch
from torch import nn


class TimmConfig(Protocol):
    """What every configuration of such a model has."""

    @property
    def fine_tune(self) -> bool: ...

    def mistakes(self, image_size: int) -> list[str]: ...


class TimmModel(nn.Module):
    """Images (B, C, H, W) to logits (B, classes) by the timm model that `make` returns.

    Subclasses import timm inside `make`: its import takes seconds, which others should not wait.
    """

    def __init__(self, config: Any, *, image_size: int, num_classes: int, in_chans: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        self._sizes = {"num_classes": num_classes, "in_chans": in_chans}
        self.body = self.make(config, image_size, **self._sizes)
        if not config.fine_tune:
            self.body.requires_grad_(False)
            self.body.get_classifier().requires_grad_(True)

    @staticmethod
    def make(config: Any, image_size: int, **sizes: Any) -> Any:
        """The timm model; `sizes` are num_classes and in_chans."""
        raise NotImplementedError

    def at(self, _image_size: int) -> Any:
        """The configuration for another image size."""
        return self.config

    def rebuilt(self, image_size: int) -> nn.Module:
        """A fresh model of this configuration for another image size."""
        config: TimmConfig = self.at(image_size)
        if wrong := config.mistakes(image_size):
            raise ValueError("; ".join(wrong))
        return type(self)(config, image_size=image_size, **self._sizes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(
                f"built for {self.image_size} px, given {tuple(images.shape[-2:])} px images"
            )
        return self.body(images)
