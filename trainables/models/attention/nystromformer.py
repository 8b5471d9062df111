"""Nyströmformer: softmax attention rebuilt from landmarks (Xiong et al. 2021, Algorithm 1).

The rows and columns of the softmax matrix at m landmarks, means of segments of the tokens, and the
pseudo-inverse of what they share stand for the whole matrix, so attention costs N m instead of N N.
Beside it the paper's figure 2 adds a depthwise convolution of the values, before the heads are
joined. The authors' network for images and the published rows have no convolution: they add the
values as they are, behind the last projection, and so do we. B batch, N tokens, H heads, D width,
E = D/H head width, m `landmarks`.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch.nn.functional import scaled_dot_product_attention

from trainables.models.geometry import Geometry
from trainables.models.heads import SelfAttention
from trainables.models.precision import full_precision
from trainables.models.vit import SMALL

PUBLISHED = {
    "Nystrom ViT-32-S/16": {**SMALL, "landmarks": 32, "faithful": True},
    "Nystrom ViT-64-S/16": {**SMALL, "landmarks": 64, "faithful": True},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`iterations` are those of the pseudo-inverse.

    `value_skip` adds each token's value, not projected, to what the layer has made of the others.
    `faithful` multiplies in the published order: the same result at N m² instead of m² E.
    """

    landmarks: int = 64
    iterations: int = 6
    value_skip: bool = True
    faithful: bool = False


class Attention(SelfAttention):
    """W softmax(Q K̃ᵀ) softmax(Q̃ K̃ᵀ)⁺ softmax(Q̃ Kᵀ) V + V over the tokens, (B, N, D) to (B, N, D).

    W is the projection behind the heads.
    """

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__(geometry, geometry.head_width)
        N, m, self.config = geometry.tokens, config.landmarks, config
        if not 1 <= m <= N:
            raise ValueError(f"landmarks={m} must lie between 1 and the {N} tokens")
        if config.iterations < 1:
            raise ValueError(f"iterations must be at least 1, given {config.iterations}")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.split(x)
        marks, iterations = self.config.landmarks, self.config.iterations
        q_marks, k_marks = segment_means(q, marks), segment_means(k, marks)  # (B, H, m, E)
        mixed = scaled_dot_product_attention(q_marks, k, v)
        if self.config.faithful:
            inverse = full_precision(partial(inverted, iterations=iterations))(q_marks, k_marks)
            mixed = scaled_dot_product_attention(q, k_marks, inverse) @ mixed
        else:
            mixed = full_precision(partial(solved, iterations=iterations))(mixed, q_marks, k_marks)
            mixed = scaled_dot_product_attention(q, k_marks, mixed)
        out = self.joined(mixed)
        return out + v.transpose(1, 2).flatten(2) if self.config.value_skip else out


def segment_means(x: torch.Tensor, segments: int) -> torch.Tensor:
    """(..., N, E) to (..., segments, E): neighbours averaged, the longer segments last."""
    tokens = x.shape[-2]
    size = tokens // segments
    longer = tokens % segments
    short, long = x.split((tokens - longer * (size + 1), longer * (size + 1)), dim=-2)
    means = [short.unflatten(-2, (-1, size)).mean(-2)]
    if longer:
        means.append(long.unflatten(-2, (-1, size + 1)).mean(-2))
    return torch.cat(means, dim=-2)


def inverted(q_marks: torch.Tensor, k_marks: torch.Tensor, iterations: int) -> torch.Tensor:
    """The pseudo-inverse of the landmarks' attention among themselves, (B, H, m, m).

    Newton-Schulz steps of third order (Razavi et al. 2014). The rows of a softmax sum to 1, so the
    largest column sum alone scales the start to where they converge.
    """
    kernel = (q_marks * q_marks.shape[-1] ** -0.5 @ k_marks.transpose(-1, -2)).softmax(dim=-1)
    eye = torch.eye(kernel.shape[-1], dtype=kernel.dtype, device=kernel.device)
    inverse = kernel.transpose(-1, -2) / kernel.sum(dim=-2).amax(dim=-1)[..., None, None]
    for _ in range(iterations):
        product = kernel @ inverse
        inner = 15 * eye - product @ (7 * eye - product)
        inverse = 0.25 * inverse @ (13 * eye - product @ inner)
    return inverse


def solved(
    mixed: torch.Tensor, q_marks: torch.Tensor, k_marks: torch.Tensor, iterations: int
) -> torch.Tensor:
    """The same inverse times `mixed`, (B, H, m, E)."""
    return inverted(q_marks, k_marks, iterations) @ mixed
