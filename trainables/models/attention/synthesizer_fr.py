"""Synthesizer, factorised random: attention that no token has a say in (Tay et al. 2021,
"Synthesizer: Rethinking Self-Attention for Transformer Models", Factorized Random Synthesizer).

The logits are a learned matrix of low rank, the same for all images. B batch, N tokens, H heads, D
width, E = D/H head width, L rows of a factor, k `rank`.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from trainables.models.geometry import Geometry
from trainables.models.resize import over_grid, over_length
from trainables.models.vit import SMALL

PUBLISHED = {"Synthesizer FR-S/16": {**SMALL, "layer_scale": 1e-4, "rank": 8, "faithful": True}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`rank` is k.

    `faithful` has L = k ⌈N/k⌉ rows, those beyond N never read, and resizes along L as if the tokens
    lay in a line.
    """

    rank: int = 8
    faithful: bool = False


class Attention(nn.Module):
    """softmax(R₁ R₂ᵀ) V over the tokens, (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        D, N, k = geometry.width, geometry.tokens, config.rank
        self.geometry, self.heads, self.faithful = geometry, geometry.heads, config.faithful
        if D % self.heads:
            raise ValueError(f"heads={self.heads} must divide dim={D}")
        if not 1 <= k <= N:
            raise ValueError(f"rank={k} must lie between 1 and the {N} tokens")
        L = k * math.ceil(N / k) if config.faithful else N
        self.factors = nn.Parameter(torch.randn(2, self.heads, L, k))  # R₁ and R₂
        self.v = nn.Linear(D, D)
        self.out = nn.Linear(D, D)

    def resampled(self, source: "Attention") -> dict[str, torch.Tensor]:
        """The factors follow the grid, bilinear, the class token's entries kept."""
        factors = source.factors
        if self.faithful:
            return {"factors": over_length(factors, self.factors.shape[2])}
        return {"factors": over_grid(factors, source.geometry, self.geometry, mode="bilinear")}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.factors[:, :, : x.shape[1]]
        weights = (left @ right.transpose(1, 2)).softmax(
            dim=-1
        )  # (H, N, N), once for the whole batch
        v = self.v(x).unflatten(-1, (self.heads, -1))
        # a broadcast matrix product would copy the weights for every image
        mixed = torch.einsum("hnm,bmhe->bnhe", weights.to(v.dtype), v)
        return self.out(mixed.flatten(2))
