"""PolySA: attention as a third-order polynomial of the tokens, linear in N (Babiloni et al. 2023,
"Linear Complexity Self-Attention with 3rd Order Polynomials").

Products of keys and values are summed over the tokens with learned weights; what comes out
multiplies every query. B batch, N tokens, H heads, D width, E = D/H head width.
"""

from dataclasses import dataclass

import torch
from torch import nn

from trainables.models.geometry import Geometry
from trainables.models.resize import over_grid
from trainables.models.vit import SMALL

PUBLISHED = {"PolySA-S/16": {**SMALL, "layer_scale": 1e-4}}
_NORM_EPS = 1e-6  # the published code's: the sums, weighted by p₂, begin far below 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Queries, keys and values have a bias as published."""

    qkv_bias: bool = True


class Attention(nn.Module):
    """p₁ * q * LN(Σ p₂ * k * v) in each head, the sum over tokens; (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        D, self.heads, self.geometry = geometry.width, geometry.heads, geometry
        E = geometry.head_width
        self.qkv = nn.Linear(D, 3 * D, bias=config.qkv_bias)
        self.weights = nn.Parameter(torch.empty(2, geometry.tokens, self.heads))  # p₁ and p₂
        nn.init.trunc_normal_(self.weights, std=0.02)
        self.norm = nn.LayerNorm(E, eps=_NORM_EPS)
        self.out = nn.Linear(D, D)

    def resampled(self, source: "Attention") -> dict[str, torch.Tensor]:
        """p₁ and p₂ follow the grid, bicubic; the class token's entries are kept."""
        return {"weights": over_grid(source.weights, source.geometry, self.geometry)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)  # (B, N, H, E)
        of_queries, of_keys = self.weights.unsqueeze(-1)  # (N, H, 1)
        # small weights first, so that the product of keys and values fits into half precision
        summed = self.norm((of_keys * k * v).sum(dim=1, keepdim=True))  # (B, 1, H, E)
        return self.out((of_queries * q * summed).flatten(2))
