"""Softmax attention (Vaswani et al. 2017, equation 1), as ViT uses it (Dosovitskiy et al. 2021).

B batch, N tokens, H heads, D width, E head width.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention

from trainables.models.geometry import Geometry
from trainables.models.heads import SelfAttention


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`dim_head` is E; None divides the width among the heads. The galaxy paper's ViT fixes 64."""

    dim_head: int | None = None
    qkv_bias: bool = False


class Attention(SelfAttention):
    """softmax(Q Kᵀ / √E) V over the tokens, (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config):
        D, H = geometry.width, geometry.heads
        if config.dim_head is None and D % H:
            raise ValueError(f"heads={H} must divide dim={D} where no dim_head is given")
        if config.dim_head is not None and config.dim_head < 1:
            raise ValueError(f"dim_head must be at least 1, given {config.dim_head}")
        super().__init__(geometry, config.dim_head or D // H, qkv_bias=config.qkv_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.joined(scaled_dot_product_attention(*self.split(x)))
