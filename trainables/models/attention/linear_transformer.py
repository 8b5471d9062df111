"""Linear Transformer: attention by the kernel elu(x) + 1 (Katharopoulos et al. 2020, eqs. 5 and 7).

φ(Q) (φ(K)ᵀ V) needs no N x N matrix. B batch, N tokens, H heads, D width.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import elu

from trainables.models.geometry import Geometry
from trainables.models.heads import SelfAttention
from trainables.models.precision import full_precision
from trainables.models.vit import SMALL

PUBLISHED = {"Linear Transformer-S/16": {**SMALL, "layer_scale": 1e-4}}
_EPS = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Nothing beside the shell's hyperparameters."""


class Attention(SelfAttention):
    """φ(Q) φ(K)ᵀ V, its weights normalised, over the tokens, (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__(geometry, geometry.head_width)
        del config

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.joined(attend(*self.split(x)))


@full_precision
def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """(B, H, N, D/H). In fp32: sums over all tokens pass 65504, where fp16 ends."""
    q, k = elu(q) + 1, elu(k) + 1
    return q @ (k.transpose(-1, -2) @ v) / (q @ k.sum(dim=-2).unsqueeze(-1) + _EPS)
