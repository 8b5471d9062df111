"""Informer: attention for the most selective queries alone (Zhou et al. 2021, Algorithm 1).

A query that differs most between its largest and its mean score is worth its attention; all others
receive the mean of the values. How selective a query is, is told from u sampled keys, and u queries
are kept, so attention costs N log N. B batch, N tokens, H heads, D width, E = D/H head width.
"""

from dataclasses import dataclass
from math import ceil, log

import torch
from torch.nn.functional import scaled_dot_product_attention

from trainables.models.geometry import Geometry
from trainables.models.heads import SelfAttention
from trainables.models.precision import full_precision
from trainables.models.vit import SMALL

SHELL = {"block": "post_norm"}
PUBLISHED = {"Inform-S/16": {**SMALL, **SHELL, "norm_eps": 1e-5}}
_AT_ONCE = 8  # samples of every query whose keys are gathered together: 8 times the keys' memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`factor` is c in u = c ⌈ln N⌉, at most N: keys sampled for a query, and queries kept."""

    factor: int = 5


class Attention(SelfAttention):
    """softmax(Q Kᵀ / √E) V for u queries, mean(V) for the rest, (B, N, D) to (B, N, D).

    The samples are redrawn at every step of training, and the same ones whenever it evaluates.
    """

    samples: torch.Tensor

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__(geometry, geometry.head_width)
        self.tokens = geometry.tokens
        if config.factor < 1:
            raise ValueError(f"factor must be at least 1, given {config.factor}")
        self.kept = min(self.tokens, config.factor * max(1, ceil(log(self.tokens))))
        fixed = self._draw(torch.device("cpu"), torch.Generator("cpu").manual_seed(0))
        self.register_buffer("samples", fixed.to(self.out.weight.device), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.split(x)
        samples = self._draw(x.device) if self.training else self.samples
        with torch.no_grad():
            kept = selectivity(q, k, samples).topk(self.kept, dim=-1).indices.unsqueeze(-1)
        kept = kept.expand(-1, -1, -1, q.shape[-1])  # (B, H, u, E)
        attended = scaled_dot_product_attention(q.gather(2, kept), k, v)
        mixed = v.mean(dim=2, keepdim=True).expand_as(v).scatter(2, kept, attended)
        return self.joined(mixed)

    def _draw(self, device: torch.device, generator: torch.Generator | None = None) -> torch.Tensor:
        """u random keys for every query, (N, u), the same for all samples of a batch and heads."""
        shape = (self.tokens, self.kept)
        return torch.randint(self.tokens, shape, device=device, generator=generator)


@full_precision
def selectivity(q: torch.Tensor, k: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    """Largest less mean score of each query over its sampled keys, (B, H, N).

    The sum is divided by N: scores that were not sampled count as 0 (equation 4). In fp32, because
    the order decides and half precision has ties.
    """
    scores = torch.cat(
        [(k[:, :, few] @ q.unsqueeze(-1)).squeeze(-1) for few in samples.split(_AT_ONCE, dim=1)],
        dim=-1,
    )  # (B, H, N, u)
    return scores.amax(dim=-1) - scores.sum(dim=-1) / k.shape[2]
