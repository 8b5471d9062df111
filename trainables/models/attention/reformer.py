"""Reformer: attention among tokens that hash alike (Kitaev et al. 2020, section 2).

Queries and keys are one, so tokens whose vectors point the same way fall into one bucket; sorted by
bucket, they attend within chunks. B batch, N tokens, H heads, D width, E = D/H head width, R
`hashes`, S `bucket_size`, P tokens with padding to a multiple of 2 S, C = P/S chunks and buckets.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn.functional import normalize, pad

from trainables.models.geometry import Geometry
from trainables.models.precision import full_precision, widened
from trainables.models.vit import SMALL

PUBLISHED = {"Reformer-S/16": {**SMALL, "bucket_size": 64, "hashes": 8, "faithful": True}}
# scores: a token attends to itself only where there is no other, to padding not even then
_ITSELF, _PADDING = -5e4, -1e5


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`hashes` rounds are averaged; a token sees at most 2 `bucket_size` - 1 others in each.

    `faithful` is as published: it projects and hashes padding and attends to it like tokens, and
    the chunks of all rounds lie in one ring, so that the first of a round looks back at the last of
    the round before. In the paper (multi-round attention) no round knows of the others: here its
    own last chunk stands before its first.
    """

    bucket_size: int = 32
    hashes: int = 2
    faithful: bool = False


class Attention(nn.Module):
    """Attention of each chunk to itself and the one before, (B, N, D) to (B, N, D).

    The rotations are redrawn at every step of training, and the same ones whenever it evaluates.
    """

    rotations: torch.Tensor

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        D, N, S = geometry.width, geometry.tokens, config.bucket_size
        self.heads, self.head_width, self.config = geometry.heads, geometry.head_width, config
        if not 1 <= S <= N:
            raise ValueError(f"bucket_size={S} must lie between 1 and the {N} tokens")
        if config.hashes < 1:
            raise ValueError(f"hashes must be at least 1, given {config.hashes}")
        self.padded = N + -N % (2 * S)
        self.buckets = self.padded // S
        self.qk = nn.Linear(D, D)
        self.v = nn.Linear(D, D)
        self.out = nn.Linear(D, D)
        fixed = self._draw(torch.device("cpu"), torch.Generator("cpu").manual_seed(0))
        self.register_buffer("rotations", fixed.to(self.out.weight), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        N = x.shape[1]
        if self.config.faithful:
            x = self._padded(x)
        tokens = x.shape[1]
        qk, v = (
            self._padded(part).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, P, E)
            for part in (self.qk(x), self.v(x))
        )
        mixed, total = self._rounds(qk, v, self._order(qk, tokens), tokens)
        mixed = (mixed * total.softmax(dim=2)).sum(dim=2)[:, :, :tokens].to(v.dtype)
        return self.out(mixed.transpose(1, 2).flatten(2))[:, :N]

    def _padded(self, x: torch.Tensor) -> torch.Tensor:
        return pad(x, (0, 0, 0, self.padded - x.shape[1]))

    def _draw(self, device: torch.device, generator: torch.Generator | None = None) -> torch.Tensor:
        """Directions of half of the buckets, (R, E, C/2); the other half are their opposites."""
        shape = (self.config.hashes, self.head_width, self.buckets // 2)
        return torch.randn(shape, device=device, generator=generator)

    @torch.no_grad()
    def _order(self, qk: torch.Tensor, tokens: int) -> torch.Tensor:
        """Positions sorted by bucket and then by place, in every round: (B, H, R, P)."""
        rotations = self._draw(qk.device).to(qk.dtype) if self.training else self.rotations
        turned = qk[:, :, None, :tokens] @ rotations  # (B, H, R, tokens, C/2)
        buckets = torch.cat((turned, -turned), dim=-1).argmax(dim=-1)
        last = self.padded - tokens  # padding behind all buckets
        return pad(buckets, (0, last), value=self.buckets).argsort(dim=-1, stable=True)

    def _rounds(
        self, qk: torch.Tensor, v: torch.Tensor, order: torch.Tensor, tokens: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What each round yields, (B, H, R, P, E), and the log of its weights' sum, (..., P, 1)."""
        S = self.config.bucket_size
        q, v = (part.unsqueeze(2).take_along_dim(order.unsqueeze(-1), 3) for part in (qk, v))
        q, v, at = (part.unflatten(3, (-1, S)) for part in (q, v, order))  # (B, H, R, C, S, ...)
        ring = partial(with_previous, across_rounds=self.config.faithful)
        k, v, seen = ring(unit(q)), ring(v), ring(at).unsqueeze(-2)
        scores = widened(q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2))  # (B, H, R, C, S, 2 S)
        scores = scores.masked_fill(at.unsqueeze(-1) == seen, _ITSELF)
        if tokens < self.padded:
            scores = scores.masked_fill(seen >= tokens, _PADDING)
        total = scores.logsumexp(dim=-1, keepdim=True)
        mixed = (scores - total).exp().to(v.dtype) @ v
        back = order.argsort(dim=-1).unsqueeze(-1)
        mixed, total = (part.flatten(3, 4).take_along_dim(back, 3) for part in (mixed, total))
        return mixed, total


@full_precision
def unit(x: torch.Tensor) -> torch.Tensor:
    """Of length 1. In fp32: fp16 has no number small enough to keep 0 from a division by 0."""
    return normalize(x, dim=-1)


def with_previous(chunks: torch.Tensor, *, across_rounds: bool) -> torch.Tensor:
    """(B, H, R, C, S, ...) to (B, H, R, C, 2 S, ...): each chunk, then the one before in a ring.

    The ring is that of a round, or `across_rounds` a single one of all R C chunks.
    """
    if across_rounds:
        before = chunks.flatten(2, 3).roll(1, dims=2).view_as(chunks)
    else:
        before = chunks.roll(1, dims=3)
    return torch.cat((chunks, before), dim=4)
