"""Tokens split among the heads of self-attention, and joined again.

B batch, N tokens, H heads, D width, E head width.
"""

import torch
from torch import nn

from trainables.models.geometry import Geometry


class SelfAttention(nn.Module):
    """Queries, keys and values from one linear layer, and one behind what the heads found.

    A subclass says in `forward` what happens between `split` and `joined`.
    """

    def __init__(self, geometry: Geometry, head_width: int, *, qkv_bias: bool = True):
        super().__init__()
        D, self.heads = geometry.width, geometry.heads
        inner = self.heads * head_width
        self.qkv = nn.Linear(D, 3 * inner, bias=qkv_bias)
        self.out = nn.Linear(inner, D)

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values of (B, N, D), each (B, H, N, E)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def joined(self, mixed: torch.Tensor) -> torch.Tensor:
        """What the heads found, (B, H, N, E), as (B, N, D)."""
        return self.out(mixed.transpose(1, 2).flatten(2))
