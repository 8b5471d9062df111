"""FNet: a Fourier transform over tokens and channels mixes them (Lee-Thorp et al. 2022, section 3).

Nothing is learned and there are no heads: `heads` plays no role. B batch, N tokens, D width.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from trainables.models.geometry import Geometry
from trainables.models.precision import full_precision
from trainables.models.vit import SMALL

SHELL = {"pool": "mean"}
FAITHFUL_SHELL = {"pool": "mean_before_norm"}
PUBLISHED = {"FNet-S/16": {**SMALL, "layer_scale": 1e-4, "faithful": True}}
_NORMS = ("forward", "ortho", "backward")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`fft_norm` divides the transform by N D (`forward`), its root (`ortho`) or 1 (`backward`).

    `faithful` norms the mean of the patches instead of averaging normed ones, as published.
    """

    fft_norm: str = "forward"
    faithful: bool = False


class Attention(nn.Module):
    """Re(F_N X F_D) with the Fourier matrices F, (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        del geometry  # any number of tokens will do
        if config.fft_norm not in _NORMS:
            raise ValueError(
                f"fft_norm must be one of {', '.join(_NORMS)}, given {config.fft_norm!r}"
            )
        self.norm = config.fft_norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return full_precision(partial(mixed, norm=self.norm))(x)


def mixed(x: torch.Tensor, norm: str) -> torch.Tensor:
    """The real part of the transform over the last two dimensions."""
    return torch.fft.fft2(x, norm=norm).real
