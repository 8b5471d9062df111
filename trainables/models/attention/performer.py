"""Performer: softmax attention by positive random features, FAVOR+ (Choromanski et al. 2021).

φ(q)ᵀ φ(k) is exp(qᵀ k) in the mean (Lemma 1), and φ(Q) (φ(K)ᵀ V) needs no N x N matrix. B batch, N
tokens, H heads, D width, E = D/H head width, m `features`.
"""

from dataclasses import dataclass

import torch

from trainables.models.geometry import Geometry
from trainables.models.heads import SelfAttention
from trainables.models.precision import full_precision
from trainables.models.vit import SMALL

PUBLISHED = {"Performer-S/16": {**SMALL, "layer_scale": 1e-4, "features": 128}}
_FLOOR = 1e-4  # of a feature, so that no denominator is zero


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`features` is m, the random features of a layer, drawn once and shared by its heads."""

    features: int = 128


class Attention(SelfAttention):
    """φ(Q) φ(K)ᵀ V, its weights normalised, over the tokens, (B, N, D) to (B, N, D)."""

    directions: torch.Tensor

    def __init__(self, geometry: Geometry, config: Config):
        super().__init__(geometry, geometry.head_width)
        if config.features < 1:
            raise ValueError(f"features must be at least 1, given {config.features}")
        self.register_buffer("directions", orthogonal(config.features, geometry.head_width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.split(x)
        mixed = attend(q, k, v, self.directions)  # (B, H, N, E)
        return self.joined(mixed)


def orthogonal(rows: int, width: int) -> torch.Tensor:
    """(rows, width): in blocks of `width` orthogonal, each as long as a normal vector would be.

    Only with signs that make the diagonal of R positive is every direction as likely as any other
    (Mezzadri 2007); without them some components would always be negative, and the mean wrong.
    """
    q, r = torch.linalg.qr(torch.randn(-(-rows // width), width, width))
    signed = q * r.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)
    directions = signed.transpose(1, 2).flatten(0, 1)[:rows]
    return directions * torch.randn(rows, width).norm(dim=1, keepdim=True)


@full_precision
def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, directions: torch.Tensor
) -> torch.Tensor:
    """(B, H, N, E). In fp32: exponentials, and sums of them over all tokens, pass 65504."""
    q, k = features(q, directions, (-1,)), features(k, directions, (-2, -1))  # (B, H, N, m)
    return q @ (k.transpose(-1, -2) @ v) / (q @ k.sum(dim=-2).unsqueeze(-1))


def features(x: torch.Tensor, directions: torch.Tensor, over: tuple[int, ...]) -> torch.Tensor:
    """φ of (..., N, E), scaled so that of wᵀx the largest over the axes `over` becomes 1.

    The floor is added behind the factor exp(-|x|²/2), as in the authors' code: a token so long that
    it is lost beside the floor is alike to all others. Otherwise a query's own scale, the one that
    all keys share and 1/√m cancel between numerator and denominator.
    """
    x = x * x.shape[-1] ** -0.25
    exponent = x @ directions.transpose(0, 1)
    largest = exponent.detach().amax(dim=over, keepdim=True)
    return (exponent - largest - x.pow(2).sum(dim=-1, keepdim=True) / 2).exp() + _FLOOR
