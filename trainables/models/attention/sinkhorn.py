"""Sparse Sinkhorn attention: buckets of tokens, sorted to where they are asked for.

Tay et al. 2020 (section 3), in the shell of CaiT: every bucket of queries attends to its own bucket
and to one that a soft permutation of the buckets brings to its place. The permutation is balanced
by Sinkhorn's iteration from how well the buckets' mean queries and keys agree.
B batch, N tokens, H heads, D width, E = D / H, n buckets of b tokens each.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from trainables.models.geometry import Geometry
from trainables.models.precision import full_precision
from trainables.models.vit import SMALL

SHELL = {"class_depth": 2}
PUBLISHED = {
    "Sinkhorn CaiT-S-Bmax-32/16": {**SMALL, "layer_scale": 1e-4, "faithful": True},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Buckets have up to `bucket_max` tokens: whole rows of the grid, or equal parts of a row.

    `temperature` divides the agreements before the `iterations`, in training behind Gumbel noise.
    `faithful` is what the published rows ran: no permutation, each bucket of queries gets the one
    bucket that agrees best, weighted by softmax; and the sorted keys stand in for the sorted
    values, a slip of the code they used.
    """

    bucket_max: int = 32
    iterations: int = 8
    temperature: float = 0.75
    faithful: bool = False


class Attention(nn.Module):
    """softmax(Q [R K, K]ᵀ / √E) [R V, V] in each bucket, (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        D, self.heads = geometry.width, geometry.heads
        wrong = [
            f"{name} must be at least 1, given {getattr(config, name)}"
            for name in ("bucket_max", "iterations")
            if getattr(config, name) < 1
        ]
        if config.temperature <= 0:
            wrong.append(f"temperature must be above 0, given {config.temperature}")
        if D % self.heads:
            wrong.append(f"heads={self.heads} must divide dim={D}")
        if geometry.prefix:
            wrong.append(
                "patches are cut into buckets, not a class token among them: "
                "class_depth must be at least 1 or class_token False"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        self.bucket = bucket_size(geometry.grid, config.bucket_max)
        self.config = config
        self.q, self.kv = nn.Linear(D, D), nn.Linear(D, 2 * D)
        self.out = nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = self._split(self.q(x))
        k, v = map(self._split, self.kv(x).chunk(2, dim=-1))
        routes = self._routes(q, k)  # (B, H, n, n)
        sorted_k = (routes @ k.flatten(3)).view_as(k)
        sorted_v = sorted_k if self.config.faithful else (routes @ v.flatten(3)).view_as(v)
        k, v = torch.cat((sorted_k, k), dim=3), torch.cat((sorted_v, v), dim=3)
        # all buckets of all heads as heads: four dimensions are what fused attention takes
        mixed = scaled_dot_product_attention(q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2))
        return self.out(mixed.view_as(q).flatten(2, 3).transpose(1, 2).flatten(2))

    def _routes(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        """How much of every bucket of keys goes to every bucket of queries, (B, H, n, n)."""
        q, k = q.mean(dim=3), k.mean(dim=3)
        if self.config.faithful:
            return full_precision(best)(q, k)
        own = self.config
        noise = torch.empty(*q.shape[:3], k.shape[2], device=q.device)
        noise = -noise.exponential_().clamp_min(1e-20).log() if self.training else noise.zero_()
        balance = partial(balanced, iterations=own.iterations, temperature=own.temperature)
        return full_precision(balance)(q, k, noise)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) to (B, H, n, b, E)."""
        x = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return x.unflatten(2, (-1, self.bucket))


def bucket_size(grid: tuple[int, int], most: int) -> int:
    """Tokens of the largest buckets up to `most` into which a grid's rows fall evenly."""
    height, width = grid
    sizes = [width // parts for parts in range(1, width + 1) if width % parts == 0]
    sizes += [width * rows for rows in range(1, height + 1) if height % rows == 0]
    return max(size for size in sizes if size <= most)


def agreement(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    return q @ k.transpose(2, 3) * q.shape[-1] ** -0.5


def best(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """The softmax of the agreements, all but the largest of every row set to 0."""
    weights = agreement(q, k).softmax(dim=-1)
    largest, at = weights.topk(1, dim=-1)
    return torch.zeros_like(weights).scatter(-1, at, largest)


def balanced(
    q: torch.Tensor, k: torch.Tensor, noise: torch.Tensor, iterations: int, temperature: float
) -> torch.Tensor:
    """The agreements as a matrix whose rows and columns sum to 1, by Sinkhorn in logarithms."""
    logits = (agreement(q, k) + noise) / temperature
    for _ in range(iterations):
        logits = logits.log_softmax(dim=-1).log_softmax(dim=-2)
    return logits.exp()
