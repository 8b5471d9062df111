"""GTP: the patches that matter least pass what they hold on to their neighbours (Xu et al. 2024,
"GTP-ViT: Efficient Vision Transformers via Graph-based Token Propagation", section 3).

Every block lets P patches go. Neighbours, beside each other in the image or alike, are found once
an image. Which patches matter is read from the N x N attention weights, so attention is not fused.
B batch, N tokens that are left, M patches among them, H heads, D width, P `propagated`.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn
from torch.nn.functional import normalize

from trainables.models.block import Branch, Layers, OpenBlock
from trainables.models.precision import full_precision, widened
from trainables.models.vit import SMALL

PUBLISHED = {"GTP-ViT-S/16": {**SMALL, "qkv_bias": True, "class_position": True}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`propagated` patches leave in every block, as long as one stays; `alpha` of what they hold
    is passed on. A patch receives from those around it, up to 8, and from the `neighbours` that are
    most alike, whether it is among theirs or not.
    `theta` is the share of the attention weights of a head that is kept, the largest ones.
    """

    propagated: int = 8
    theta: float = 0.6
    alpha: float = 0.1
    neighbours: int = 8

    def mistakes(self, _image_size: int) -> list[str]:
        wrong = []
        if self.propagated < 0:
            wrong.append(f"propagated must be at least 0, given {self.propagated}")
        if not 0 < self.theta <= 1:
            wrong.append(f"theta must lie in (0, 1], given {self.theta}")
        if not 0 <= self.alpha <= 1:
            wrong.append(f"alpha must lie in [0, 1], given {self.alpha}")
        return wrong


class Trunk(nn.Module):
    """(B, N, D) to (B, N', D), with up to P patches less for every block."""

    around: torch.Tensor

    def __init__(self, layers: Layers, config: Config):
        super().__init__()
        grid, wrong = layers.geometry.grid, layers.reduction_mistakes()
        if not 0 <= config.neighbours < prod(grid):
            wrong.append(
                f"neighbours={config.neighbours} must lie between 0 and the "
                f"{prod(grid) - 1} other patches"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        self.neighbours = config.neighbours
        self.register_buffer("around", _around(*grid), persistent=False)
        self.blocks = nn.ModuleList(
            Block(branch, layers.mixer(), layers.feed(), config) for branch in layers.branches
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        graph, sizes = self._graph(widened(x[:, 1:])), torch.ones_like(widened(x[..., :1]))
        for block in self.blocks:
            x, sizes, graph = block(x, sizes, graph)
        return x

    @torch.no_grad()
    def _graph(self, patches: torch.Tensor) -> torch.Tensor:
        """Each edge over the root of both its ends' numbers of edges: D^-½ A D^-½, (B, M, M).

        A row says from whom a patch receives; those that are alike are chosen row by row, so that
        the graph is not symmetric, as in the authors' code.
        """
        cosines = _cosines(patches)
        itself = torch.eye(cosines.shape[1], dtype=torch.bool, device=cosines.device)
        nearest = cosines.masked_fill(itself, -2).topk(self.neighbours, dim=2).indices
        alike = torch.zeros_like(cosines).scatter(2, nearest, 1.0)
        edges = alike.masked_fill(self.around, 1)
        scale = edges.sum(dim=2, keepdim=True).clamp_min(1) ** -0.5
        return scale * edges * scale.transpose(1, 2)


class Block(OpenBlock):
    """A pre-norm block that propagates between attention and feed-forward network.

    Tokens (B, N, D), their sizes (B, N, 1) and the graph (B, M, M) to those that are left.
    """

    def __init__(self, branch: Branch, mixer: Any, feed: nn.Module, config: Config):
        super().__init__(branch, mixer, feed)
        self.config = config

    def forward(
        self, x: torch.Tensor, sizes: torch.Tensor, graph: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        q, k, v = self.mixer.split(self.norm(x))
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
        weights = sparse(proportional(logits, sizes), self.config.theta)
        x = x + self.thinned(self.mixer.joined(weights @ v))
        leaving = min(self.config.propagated, x.shape[1] - 2)
        if leaving > 0:
            order = importance(weights).argsort(dim=1)
            x, sizes, graph = self._propagated(x, sizes, graph, order, leaving)
        return x + self.feed(x), sizes, graph

    def _propagated(
        self,
        x: torch.Tensor,
        sizes: torch.Tensor,
        graph: torch.Tensor,
        order: torch.Tensor,
        leaving: int,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        gone, kept = order[:, :leaving], order[:, leaving:].sort(dim=1).values
        graph = rows(graph, kept)
        shares = self.config.alpha * columns(graph, gone)  # (B, M - P, P)
        x, sizes = (
            torch.cat((t[:, :1], passed_on(rows(t[:, 1:], kept), rows(t[:, 1:], gone), shares)), 1)
            for t in (x, sizes)
        )
        return x, sizes, columns(graph, kept)


def _around(height: int, width: int) -> torch.Tensor:
    """Which patches of the grid touch each other, at corners too: (M, M)."""
    y, x = (
        (axis.unsqueeze(0) - axis.unsqueeze(1)).abs()
        for axis in (torch.arange(height * width) // width, torch.arange(height * width) % width)
    )
    return torch.maximum(y, x) == 1


@full_precision
def _cosines(patches: torch.Tensor) -> torch.Tensor:
    directions = normalize(patches, dim=-1)
    return directions @ directions.transpose(1, 2)


@full_precision
def proportional(logits: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Weights (B, H, N, N) by softmax; a token of size s counts like s tokens."""
    return (logits + sizes.log().view(len(sizes), 1, 1, -1)).softmax(dim=-1)


def sparse(weights: torch.Tensor, theta: float) -> torch.Tensor:
    """The `theta` of a head's weights that are largest, the others 0.

    The authors keep what is not below the (1 - theta) N² th smallest, itself included: one more.
    """
    flat = weights.detach().flatten(2)
    below = int(flat.shape[2] * (1 - theta)) - 1
    if below < 1:
        return weights
    least = flat.topk(flat.shape[2] - below, dim=2, sorted=False).values.amin(dim=2)
    return weights.masked_fill(weights < least[..., None, None], 0)


@full_precision
def passed_on(kept: torch.Tensor, gone: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """(B, M - P, D) with what each receives of those that leave, (B, P, D)."""
    return kept + shares @ gone


@torch.no_grad()
def importance(weights: torch.Tensor) -> torch.Tensor:
    """Of patches, (B, M): how much a patch keeps to itself, times how much all look at it."""
    own = weights.diagonal(dim1=2, dim2=3).amax(dim=1)
    seen = weights.sum(dim=2).amax(dim=1)
    return (own * seen)[:, 1:]


def rows(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """(B, M, D) at `chosen` (B, K) to (B, K, D)."""
    return values.gather(1, chosen.unsqueeze(2).expand(-1, -1, values.shape[2]))


def columns(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """(B, M, D) at `chosen` (B, K) to (B, M, K)."""
    return values.gather(2, chosen.unsqueeze(1).expand(-1, values.shape[1], -1))
