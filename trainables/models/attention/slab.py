"""SLAB: linear attention with ReLU, between norms that become batch norms (Guo et al. 2024).

Progressive re-parameterised batch norm: training begins with LayerNorm and is led over to a batch
norm, which costs less when the model is used. B batch, N tokens, H heads, D width, E = D / H.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import batch_norm, relu

from trainables.models.geometry import Geometry
from trainables.models.precision import full_precision, widened
from trainables.models.resize import over_grid
from trainables.models.schedule import Scheduled
from trainables.models.vit import SMALL
from trainables.models.workers import pooled

SHELL = {"class_token": False, "pool": "mean"}
PUBLISHED = {"SLAB-S/16": {**SMALL, "layer_scale": 1e-4}}
_MOMENTUM, _BATCH_EPS = 0.1, 1e-5


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`kernel_size` is that of the convolution beside the attention.

    `blend_share` is the share of the training's budget after which only the batch norm is left.
    """

    kernel_size: int = 5
    blend_share: float = 0.1


class Attention(nn.Module):
    """relu(Q) (relu(K + P)ᵀ V), normalised, + conv(V): (B, N, D) to (B, N, D).

    P are learned positions; the convolution is depthwise and the same for all heads.
    """

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__()
        D, H, size = geometry.width, geometry.heads, config.kernel_size
        wrong = []
        if D % H:
            wrong.append(f"heads={H} must divide dim={D}")
        if size < 1 or size % 2 == 0:
            wrong.append(f"kernel_size must be odd and at least 1, given {size}")
        if geometry.prefix:
            wrong.append(
                "the convolution needs a grid of patches, without a class token among them: "
                "class_token must be False or class_depth at least 1"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        self.geometry, self.heads = geometry, H
        self.qkv = nn.Linear(D, 3 * D)
        self.position = nn.Parameter(torch.zeros(1, geometry.tokens, D))
        self.local = nn.Conv2d(D // H, D // H, size, padding=size // 2, groups=D // H)
        self.out = nn.Linear(D, D)

    def resampled(self, source: "Attention") -> dict[str, torch.Tensor]:
        """Positions follow the grid, bicubic."""
        return {"position": over_grid(source.position, source.geometry, self.geometry)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = map(self._split, (relu(q), relu(k + self.position), v))
        maps = v.transpose(2, 3).unflatten(3, self.geometry.grid).flatten(0, 1)
        local = self.local(maps).flatten(2).transpose(1, 2).view_as(v)
        mixed = linear_attention(q, k, v) + local
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) to (B, H, N, E)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


@full_precision
def linear_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Values weighted by q kᵀ with rows that sum to 1, in N E² instead of N² E steps."""
    total = q @ k.sum(dim=2, keepdim=True).transpose(2, 3)
    return q @ (k.transpose(2, 3) @ v) / (total + 1e-6)


class Norm(Scheduled):
    """λ LN(x) + (1 - λ) RepBN(x), RepBN(x) = BN(x) + α x; λ falls from 1 to 0 over `blend_share`.

    Evaluation uses the same λ, so that scores during training are those of the model as it is.
    The running statistics count every token alike: a batch weighs by its size (of all workers), a
    tiny one next to nothing, and what they began with nothing after the first step.
    """

    batch_statistics = True
    mean: torch.Tensor
    variance: torch.Tensor
    size: torch.Tensor

    def __init__(self, width: int, eps: float, config: Config):
        super().__init__()
        if not 0 < config.blend_share <= 1:
            raise ValueError(f"blend_share must lie in (0, 1], given {config.blend_share}")
        self.share = config.blend_share
        self.layer = nn.LayerNorm(width, eps=eps)
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.alpha = nn.Parameter(torch.ones(()))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))
        self.register_buffer("size", torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch = self._batch(x.flatten(0, -2)).view_as(x) + self.alpha * x
        # in training LayerNorm stays part of the graph: workers wait for all gradients
        if not self.training and self.progress >= self.share:
            return batch
        blend = (1 - self.progress / self.share).clamp_min(0)
        return batch + blend * (self.layer(x) - batch)

    def _batch(self, values: torch.Tensor) -> torch.Tensor:
        """Batch norm of (values, D); one value alone has no variance and meets the running one."""
        learned = {"weight": self.weight, "bias": self.bias, "eps": _BATCH_EPS}
        if not self.training:
            return batch_norm(values, self.mean, self.variance, **learned)
        mean, variance = self.mean.clone(), self.variance.clone()
        several = len(values) > 1
        # leaves the batch's own statistics in `mean` and `variance`
        normed = batch_norm(values, mean, variance, training=several, momentum=1, **learned)
        # a lone value takes part too, as nothing: the other workers wait for it
        self._remember(len(values) * several, widened(mean), widened(variance))
        return normed

    @torch.no_grad()
    def _remember(self, count: int, mean: torch.Tensor, variance: torch.Tensor) -> None:
        moments = torch.stack((torch.ones_like(mean), mean, variance + mean.square()))
        counts, sums, squares = pooled(count * moments)
        mean = sums / counts.clamp_min(1)
        variance = (squares / counts.clamp_min(1) - mean.square()).clamp_min(0)
        old, new = (1 - _MOMENTUM) * self.size, _MOMENTUM * counts[0]
        self.mean.lerp_(mean.to(self.mean), (new / (old + new)).to(self.mean))
        self.variance.lerp_(variance.to(self.variance), (new / (old + new)).to(self.variance))
        self.size.copy_(old + new)
