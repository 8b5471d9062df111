"""Softmax attention (Vaswani et al. 2017, equation 1), as ViT uses it (Dosovitskiy et al. 2021).

B batch, N tokens, H heads, D width, E head width.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from trainables.models.geometry import Geometry


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`dim_head` is E; None divides the width among the heads. The first seed's ViT fixes 64."""

    dim_head: int | None = None
    qkv_bias: bool = False


class Attention(nn.Module):
    """softmax(Q Kᵀ / √E) V over the tokens, (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        D, self.heads = geometry.width, geometry.heads
        if config.dim_head is None and D % self.heads:
            raise ValueError(f"heads={self.heads} must divide dim={D} where no dim_head is given")
        if config.dim_head is not None and config.dim_head < 1:
            raise ValueError(f"dim_head must be at least 1, given {config.dim_head}")
        inner = self.heads * (config.dim_head or D // self.heads)
        self.qkv = nn.Linear(D, 3 * inner, bias=config.qkv_bias)
        self.out = nn.Linear(inner, D)

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values of (B, N, D), each (B, H, N, E)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def joined(self, mixed: torch.Tensor) -> torch.Tensor:
        """What the heads found, (B, H, N, E), as (B, N, D)."""
        return self.out(mixed.transpose(1, 2).flatten(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.joined(scaled_dot_product_attention(*self.split(x)))
