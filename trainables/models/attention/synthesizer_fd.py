"""Synthesizer, factorised dense: every token says from itself alone whom it attends to (Tay et al.
2021, "Synthesizer: Rethinking Self-Attention for Transformer Models", Factorized Synthesizer).

The N logits of a token are the outer product of two short vectors, as if the tokens lay in rows:
token j gets a[j // columns] b[j % columns]. No query meets a key. B batch, N tokens, H heads, D
width, E = D/H head width, R rows, C columns with R C >= N.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from trainables.models.geometry import Geometry
from trainables.models.resize import over_length
from trainables.models.vit import SMALL

PUBLISHED = {"Synthesizer FD-S/16": {**SMALL, "layer_scale": 1e-4, "faithful": True}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`rows` is R, None means √N; a row that no token lies in is left out.

    `faithful` pairs the vectors as the published code does: both follow the token slowly
    (a[j // C] b[j // R]), so that about R + C logits are distinct.
    """

    rows: int | None = None
    faithful: bool = False


class Factor(nn.Linear):
    """One of the two vectors for every head, (B, N, D) to (B, H, N, `length`)."""

    def __init__(self, width: int, heads: int, length: int):
        super().__init__(width, heads * length)
        self.heads, self.length = heads, length

    def resampled(self, source: "Factor") -> dict[str, torch.Tensor]:
        """Rows, or columns, of tokens are moved together or apart: linear along them."""
        apart = {"weight": source.weight, "bias": source.bias.unsqueeze(-1)}
        moved = {
            name: over_length(values.unflatten(0, (self.heads, -1)), self.length).flatten(0, 1)
            for name, values in apart.items()
        }
        return moved | {"bias": moved["bias"].squeeze(-1)}

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input).unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Attention(nn.Module):
    """softmax(a ⊗ b) V over the tokens, (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        D, N, self.heads = geometry.width, geometry.tokens, geometry.heads
        if D % self.heads:
            raise ValueError(f"heads={self.heads} must divide dim={D}")
        if config.rows is not None and not 1 <= config.rows <= N:
            raise ValueError(f"rows={config.rows} must lie between 1 and the {N} tokens")
        columns = math.ceil(N / (config.rows or round(math.sqrt(N))))
        self.faithful = config.faithful
        self.row = Factor(D, self.heads, math.ceil(N / columns))
        self.column = Factor(D, self.heads, columns)
        self.v = nn.Linear(D, D)
        self.out = nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v = self.v(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, N, E)
        weights = self._logits(x)[..., : x.shape[1]].softmax(dim=-1)
        return self.out((weights.to(v.dtype) @ v).transpose(1, 2).flatten(2))

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) to (B, H, N, R C)."""
        a, b = self.row(x), self.column(x)
        if self.faithful:
            R, C = a.shape[-1], b.shape[-1]
            return a.repeat_interleave(C, dim=-1) * b.repeat_interleave(R, dim=-1)
        return (a.unsqueeze(-1) * b.unsqueeze(-2)).flatten(-2)
