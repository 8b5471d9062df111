"""Linformer: keys and values projected to a fixed length (Wang et al. 2020, equation 7).

Two learned matrices E and F shorten the N keys and values to k, shared by all heads of a layer, so
attention costs N k instead of N N. B batch, N tokens, H heads, D width, k `k_dim`.

`dropout` falls on the attention weights and on the hidden channels of the feed-forward network, not
on what the branches add: so does the library with which the galaxy paper (Lin et al. 2021) trained
its rows, and no other row of Linformer has any.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from trainables.models.geometry import Geometry
from trainables.models.resize import over_grid
from trainables.models.vit import SMALL

WEIGHTS_DROPPED = True
PUBLISHED = {
    # k = 256 exceeds the 197 tokens of 224 px, as published
    "Linformer-S/16": {**SMALL, "layer_scale": 1e-4, "k_dim": 256, "faithful": True},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`shared_kv` uses the keys and their projection as values too (the galaxy paper's name).

    `faithful` allows a `k_dim` above the number of tokens, which lengthens instead of shortening:
    some published rows have it.
    """

    k_dim: int = 64
    shared_kv: bool = False
    faithful: bool = False


class Attention(nn.Module):
    """softmax(Q (E K)ᵀ / √(D/H)) F V over the tokens, (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config, dropout: float = 0.0):
        super().__init__()
        D, N, k = geometry.width, geometry.tokens, config.k_dim
        self.geometry, self.heads = geometry, geometry.heads
        if D % self.heads:
            raise ValueError(f"heads={self.heads} must divide dim={D}")
        if not 1 <= k <= N and not (config.faithful and k > N):
            raise ValueError(
                f"k_dim={k} must lie between 1 and the {N} tokens "
                "(faithful=True allows more, as some published rows have it)"
            )
        self.shared_kv = config.shared_kv
        self.q = nn.Linear(D, D, bias=False)
        self.kv = nn.Linear(D, D if config.shared_kv else 2 * D, bias=False)
        lengths = 1 if config.shared_kv else 2
        self.projection = nn.Parameter(torch.empty(lengths, k, N).uniform_(-(k**-0.5), k**-0.5))
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(D, D)

    def resampled(self, source: "Attention") -> dict[str, torch.Tensor]:
        """E and F follow the grid, bilinear; the class token's entries are kept."""
        rows = source.projection.transpose(1, 2)  # (lengths, N, k)
        rows = over_grid(rows, source.geometry, self.geometry, mode="bilinear")
        return {"projection": rows.transpose(1, 2)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = self._split(self.q(x))
        if self.shared_kv:
            k = v = self._split(self.projection[0] @ self.kv(x))
        else:
            keys, values = self.kv(x).chunk(2, dim=-1)
            k = self._split(self.projection[0] @ keys)
            v = self._split(self.projection[1] @ values)
        if self.training and self.dropout.p:
            weights = (q * q.shape[-1] ** -0.5 @ k.transpose(2, 3)).softmax(dim=-1)
            mixed = self.dropout(weights).to(v.dtype) @ v  # (B, H, N, D/H)
        else:
            mixed = scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) to (B, H, N, D/H)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
