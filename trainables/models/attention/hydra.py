"""Hydra attention: as many heads as channels, so that one product of tokens is left (Bolya et al.
2022, "Hydra Attention: Efficient Attention with Many Heads", section 3).

A head of one channel with a cosine kernel needs no matrix of tokens: all queries share one sum over
keys and values, at a cost of N D. B batch, N tokens, D width.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import normalize

from trainables.models.geometry import Geometry
from trainables.models.precision import full_precision
from trainables.models.vit import SMALL

PUBLISHED = {"Hydra-S/16": {**SMALL, "layer_scale": 1e-4}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The shell's `heads` means nothing here: a head is a channel."""

    qkv_bias: bool = True


@full_precision  # squares of wide tokens and a sum over all of them
def _mixed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return normalize(q, dim=-1) * (normalize(k, dim=-1) * v).sum(dim=1, keepdim=True)


class Attention(nn.Module):
    """q/|q| * Σ (k/|k| * v) with the sum over tokens, (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        D = geometry.width
        self.qkv = nn.Linear(D, 3 * D, bias=config.qkv_bias)
        self.out = nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(_mixed(*self.qkv(x).chunk(3, dim=-1)))
