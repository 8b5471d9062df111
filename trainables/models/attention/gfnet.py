"""GFNet: a learned filter for every channel, in frequency space (Rao et al. 2021, section 3.2).

By the convolution theorem a circular convolution as large as the grid. There are no heads: `heads`
plays no role. B batch, N tokens, D width; h x w the grid of patches, f = w // 2 + 1 the horizontal
frequencies of a real signal.
"""

from dataclasses import dataclass, replace

import torch
from torch import nn

from trainables.models.geometry import Geometry
from trainables.models.precision import full_precision
from trainables.models.resize import over_grid
from trainables.models.vit import SMALL

SHELL = {"class_token": False, "pool": "mean", "block": "one_residual"}
PUBLISHED = {"GFNet-S/16": {**SMALL, "depth": 19}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """No hyperparameters beside the shell's."""


class Attention(nn.Module):
    """F⁻¹(K ⊙ F(X)) over the grid, (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        del config
        if geometry.prefix:
            raise ValueError(
                "the filter covers a grid of patches, not a class token among them: "
                "class_token must be False or class_depth at least 1"
            )
        self.grid = geometry.grid
        self.spectrum = replace(geometry, grid=(geometry.grid[0], geometry.grid[1] // 2 + 1))
        # real and imaginary part
        self.filter = nn.Parameter(torch.randn(*self.spectrum.grid, geometry.width, 2) * 0.02)

    def resampled(self, source: "Attention") -> dict[str, torch.Tensor]:
        """The filter's frequencies follow the grid, bilinear."""
        values = source.filter.flatten(0, 1).flatten(1)  # (h f, 2 D)
        values = over_grid(values, source.spectrum, self.spectrum, mode="bilinear")
        return {"filter": values.reshape(self.filter.shape)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return filtered(x.unflatten(1, self.grid), self.filter).flatten(1, 2)


@full_precision
def filtered(grid: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """(B, h, w, D) multiplied in frequency space by `kernel` (h, f, D, 2)."""
    spectrum = torch.fft.rfft2(grid, dim=(1, 2), norm="ortho") * torch.view_as_complex(kernel)
    return torch.fft.irfft2(spectrum, s=grid.shape[1:3], dim=(1, 2), norm="ortho")
