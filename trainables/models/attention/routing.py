"""Routing attention: queries meet keys of their own cluster (Roy et al. 2021, "Efficient
Content-Based Sparse Attention with Routing Transformers", section 4).

C clusters in every head, about √N, each take the W queries and the W keys nearest to their
centroid; attention runs inside a cluster and costs N W. Centroids follow the training by k-means on
the sphere. B batch, N tokens, H heads, D width, E = D/H head width, M = 2 N points (queries, keys).
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from trainables.models import auxiliary
from trainables.models.geometry import Geometry
from trainables.models.precision import full_precision, widened
from trainables.models.resize import over_length
from trainables.models.vit import SMALL
from trainables.models.workers import pooled

PUBLISHED = {
    # the window of 224 px, kept at 384 px: so the printed GFLOPs say
    "Routing ViT-S/16": {**SMALL, "layer_scale": 1e-4, "window": 14, "faithful": True},
}
_FIRST_ITERATIONS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`clusters` is C, None means about √N; `window` is W, None means ⌈N/C⌉.

    `decay` is that of the centroids' moving average, `commitment` the weight of the loss that draws
    points to their centroid. `faithful` leaves the centroids as the first batch made them, which
    the published code does by oversight.
    """

    clusters: int | None = None
    window: int | None = None
    decay: float = 0.999
    commitment: float = 1e-4
    faithful: bool = False


@full_precision
def _cosines(points: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    """(B, H, M, E) with (H, C, E) to (B, H, M, C)."""
    return points @ centroids.transpose(-2, -1)


@full_precision
def _moved(points: torch.Tensor, cosines: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    """The mean directions of the points nearest to each centroid; an empty cluster stays."""
    nearest = cosines.argmax(dim=-1, keepdim=True)
    members = torch.zeros_like(cosines).scatter_(-1, nearest, 1.0)
    sums = pooled(torch.einsum("bhmc,bhme->hce", members, points))
    return torch.where(sums.any(dim=-1, keepdim=True), normalize(sums, dim=-1), centroids)


class Attention(nn.Module):
    """The mean of softmax(Q Kᵀ / √E) V over a token's clusters, 0 for a token that is in none.

    (B, N, D) to (B, N, D). The buffers `centroids`, unit vectors, and `initialised` change in
    training, where all workers must run it together.
    """

    centroids: torch.Tensor
    initialised: torch.Tensor

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        D, N, H, E = geometry.width, geometry.tokens, geometry.heads, geometry.head_width
        ends = {"clusters": (1, N), "window": (1, N), "decay": (0, 1), "commitment": (0, math.inf)}
        for name, (least, most) in ends.items():
            given = getattr(config, name)
            if given is not None and not least <= given <= most:
                raise ValueError(f"{name}={given} must lie in [{least}, {most}] with {N} tokens")
        self.config, self.heads = config, H
        C = config.clusters or math.ceil(N / round(math.sqrt(N)))
        self.window = config.window or math.ceil(N / C)
        self.q, self.k, self.v, self.out = (nn.Linear(D, D, bias=False) for _ in range(4))
        self.register_buffer("centroids", normalize(torch.randn(H, C, E), dim=-1))
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool))

    def resampled(self, source: "Attention") -> dict[str, torch.Tensor]:
        """More or fewer clusters: directions between the old ones."""
        moved = over_length(source.centroids, self.centroids.shape[1])
        return {"centroids": normalize(moved, dim=-1)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, N, E)
            for project in (self.q, self.k, self.v)
        )
        points = normalize(widened(torch.cat((q, k), dim=2)), dim=-1)  # (B, H, M, E)
        if self.training and not self.initialised:
            self._start(points.detach())
        # a clone, since the backward pass needs the centroids as they are now
        cosines = _cosines(points, self.centroids.clone())
        if self.training:
            self._follow(points, cosines)
        # each cluster picks its queries, and apart from them its keys
        affinity = cosines.detach().transpose(2, 3).unflatten(-1, (2, -1))  # (B, H, C, 2, N)
        of_queries, of_keys = affinity.topk(self.window, dim=-1).indices.unbind(3)
        q, k, v = _picked(q, of_queries), _picked(k, of_keys), _picked(v, of_keys)
        mixed = scaled_dot_product_attention(q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2))
        mixed = self._mean(mixed.unflatten(1, (self.heads, -1)), of_queries, x.shape[1])
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _mean(self, mixed: torch.Tensor, tokens: torch.Tensor, N: int) -> torch.Tensor:
        """(B, H, C, W, E), what clusters say of their tokens, to (B, H, N, E)."""
        mixed, tokens = mixed.flatten(2, 3), tokens.flatten(2).unsqueeze(-1)
        B, H, _, E = mixed.shape
        sums = mixed.new_zeros(B, H, N, E).scatter_add(2, tokens.expand(mixed.shape), mixed)
        counts = mixed.new_zeros(B, H, N, 1).scatter_add(2, tokens, torch.ones_like(mixed[..., :1]))
        return sums / counts.clamp_min(1)

    @torch.no_grad()
    def _start(self, points: torch.Tensor) -> None:
        """k-means on the first batch, from random points of it (means of one of each worker)."""
        apart = points.transpose(0, 1).flatten(1, 2)  # (H, B M, E)
        lots = torch.rand(*apart.shape[:2], 1, device=apart.device)
        chosen = lots.topk(self.centroids.shape[1], dim=1).indices
        centroids = normalize(pooled(apart.take_along_dim(chosen, dim=1)), dim=-1)
        for _ in range(_FIRST_ITERATIONS):
            centroids = _moved(points, _cosines(points, centroids), centroids)
        self.centroids.copy_(centroids)
        self.initialised.fill_(True)

    def _follow(self, points: torch.Tensor, cosines: torch.Tensor) -> None:
        """Draw the points to their centroids, and the centroids to the points."""
        if auxiliary.wanted():
            # between unit vectors the squared distance is 2 - 2 cos; the loss is its mean over E
            distance = 2 * (1 - cosines.amax(dim=-1).mean()) / points.shape[-1]
            auxiliary.add("commitment", self.config.commitment * distance)
        if not self.config.faithful:
            with torch.no_grad():
                means = _moved(points, cosines, self.centroids)
                means = means.lerp(self.centroids.to(means.dtype), self.config.decay)
                self.centroids.copy_(normalize(means, dim=-1))


def _picked(values: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """(B, H, N, E) at `tokens` (B, H, C, W) to (B, H, C, W, E)."""
    chosen = tokens.flatten(2).unsqueeze(-1).expand(-1, -1, -1, values.shape[-1])
    return values.gather(2, chosen).unflatten(2, tokens.shape[2:])
