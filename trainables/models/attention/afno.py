"""AFNO: a small network mixes the channels of every frequency (Guibas et al. 2022, section 4).

The network is the same for all frequencies and block-diagonal; shrinking its outputs makes the
spectrum sparse. There are no heads: `heads` plays no role. B batch, N tokens, D width; h x w the
grid of patches, M = h (w // 2 + 1) frequencies, K blocks of E = D / K channels.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn.functional import relu, softshrink

from trainables.models.geometry import Geometry
from trainables.models.precision import full_precision
from trainables.models.vit import SMALL, TINY

SHELL = {"class_token": False, "pool": "mean"}
FAITHFUL_SHELL = {"pool": "mean_before_norm"}
PUBLISHED = {
    "AFNO-Ti/16": {**TINY, "layer_scale": 1e-4, "faithful": True},
    "AFNO-S/16": {**SMALL, "layer_scale": 1e-4, "faithful": True},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`blocks` is K; `sparsity` is the threshold λ below which a frequency's values become 0.

    `faithful` leaves out what the mixer adds, its own input, and norms the mean of the patches
    instead of averaging normed ones: so do the published rows, unlike the paper and its code.
    """

    blocks: int = 8
    sparsity: float = 0.01
    faithful: bool = False


class Attention(nn.Module):
    """X + F⁻¹(shrink(W₂ relu(W₁ F(X) + b₁) + b₂)) over the grid, (B, N, D) to (B, N, D).

    X comes back as in the paper's pseudocode, whose `bias` it is: in the shell it is normed, so
    that this is not the residual around the branch.
    """

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        D, K = geometry.width, config.blocks
        wrong = []
        if K < 1 or D % K:
            wrong.append(f"blocks={K} must divide dim={D}")
        if config.sparsity < 0:
            wrong.append(f"sparsity must be at least 0, given {config.sparsity}")
        if geometry.prefix:
            wrong.append(
                "the grid of patches is transformed, not a class token among them: "
                "class_token must be False or class_depth at least 1"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        self.grid, self.sparsity, self.faithful = geometry.grid, config.sparsity, config.faithful
        E = D // K
        # of two layers, real and imaginary part
        self.weight = nn.Parameter(torch.randn(2, 2, K, E, E) * 0.02)
        self.bias = nn.Parameter(torch.randn(2, 2, K, E) * 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mix = full_precision(partial(mixed, sparsity=self.sparsity))
        out = mix(x.unflatten(1, self.grid), self.weight, self.bias).flatten(1, 2)
        return out if self.faithful else x + out


def mixed(
    grid: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, sparsity: float
) -> torch.Tensor:
    """(B, h, w, D) mixed in frequency space."""
    spectrum = torch.fft.rfft2(grid, dim=(1, 2), norm="ortho")
    blocks = torch.view_as_real(spectrum).flatten(1, 2).unflatten(2, (weight.shape[2], -1))
    blocks = blocks.permute(0, 2, 1, 4, 3).flatten(3)  # (B, K, M, 2 E): real beside imaginary
    hidden = relu(blocks @ as_real(weight[0]) + bias[0].transpose(0, 1).flatten(1)[:, None])
    out = hidden @ as_real(weight[1]) + bias[1].transpose(0, 1).flatten(1)[:, None]
    out = softshrink(out, sparsity).unflatten(3, (2, -1)).permute(0, 2, 1, 4, 3)
    spectrum = torch.view_as_complex(out.reshape(*spectrum.shape, 2).contiguous())
    return torch.fft.irfft2(spectrum, s=grid.shape[1:3], dim=(1, 2), norm="ortho")


def as_real(weight: torch.Tensor) -> torch.Tensor:
    """The real matrices (K, 2 E, 2 E) that multiply as the complex ones of (2, K, E, E) do."""
    real, imaginary = weight
    rows = torch.cat((real, imaginary), dim=2), torch.cat((-imaginary, real), dim=2)
    return torch.cat(rows, dim=1)
