"""ToMe: in every block the most similar tokens are merged (Bolya et al. 2023).

Between attention and feed-forward network r tokens become part of another one; a token that stands
for several counts as that many in attention. B batch, N tokens, H heads, D width, E head width.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from trainables.models.block import Branch, Layers, OpenBlock
from trainables.models.precision import full_precision, widened
from trainables.models.vit import SMALL

PUBLISHED = {"ToMe-S-R-8/16": {**SMALL, "qkv_bias": True, "layer_scale": 1e-4, "r": 8}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`r` tokens are merged in every block, or half of the patches where there are fewer."""

    r: int = 8

    def mistakes(self, _image_size: int) -> list[str]:
        return [] if self.r >= 0 else [f"r must be at least 0, given {self.r}"]


class Trunk(nn.Module):
    """(B, N, D) to (B, N', D), in training as in evaluation."""

    def __init__(self, layers: Layers, config: Config):
        super().__init__()
        if wrong := layers.reduction_mistakes():
            raise ValueError("; ".join(wrong))
        self.blocks = nn.ModuleList(
            Block(branch, layers.mixer(), layers.feed(), config.r) for branch in layers.branches
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = None
        for block in self.blocks:
            x, size = block(x, size)
        return x


class Block(OpenBlock):
    """x + attention(norm(x)), `r` tokens fewer, then x + feed(norm(x)).

    `size` (B, N, 1) is the number of tokens that each stands for; None means one each.
    """

    def __init__(self, branch: Branch, mixer: Any, feed: nn.Module, r: int):
        super().__init__(branch, mixer, feed)
        self.r = r

    def forward(
        self, x: torch.Tensor, size: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        q, k, v = self.mixer.split(self.norm(x))
        # e^(score + log size): a key's weight, as often as it stands for a token
        logs = None if size is None else size.log().to(q.dtype).view(len(x), 1, 1, -1)
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=logs)
        x = x + self.thinned(self.mixer.joined(mixed))
        if r := min(self.r, (x.shape[1] - 1) // 2):
            x, size = merged(x, size, match(k, r))
        return x + self.feed(x), size


class Matching(NamedTuple):
    """Of the tokens 2, 4, 6, ... those that `stay` and those that `leave`: (B, count, 1).

    `partner` (B, r, 1) says into which of the tokens 1, 3, 5, ... each of the latter goes.
    """

    stay: torch.Tensor
    leave: torch.Tensor
    partner: torch.Tensor


@torch.no_grad()
def match(keys: torch.Tensor, r: int) -> Matching:
    """Bipartite soft matching: each even token's best odd one, of those the `r` most similar."""
    best, partner = similarities(widened(keys)).max(dim=2)
    ranked = best.argsort(dim=1, descending=True)
    stay, leave = ranked[:, r:].sort(dim=1).values, ranked[:, :r]
    partner = partner.take_along_dim(leave, dim=1)
    return Matching(stay.unsqueeze(2), leave.unsqueeze(2), partner.unsqueeze(2))


@full_precision
def similarities(keys: torch.Tensor) -> torch.Tensor:
    """Cosine between the even tokens' keys, without the class token's, and the odd tokens'.

    Keys (B, H, N, E), of which the mean of the heads counts, to (B, (N - 1) // 2, N // 2).
    """
    metric = normalize(keys.mean(dim=1), dim=2)
    return metric[:, 2::2] @ metric[:, 1::2].transpose(1, 2)


def merged(
    x: torch.Tensor, size: torch.Tensor | None, matching: Matching
) -> tuple[torch.Tensor, torch.Tensor]:
    """Averages (B, N - r, D), weighted with the sizes, and the new sizes."""
    wide = widened(x)
    if size is None:
        size = wide.new_ones(*x.shape[:2], 1)
    total, size = summed(wide * size, *matching), summed(size, *matching)
    return (total / size).to(x.dtype), size


@full_precision
def summed(
    values: torch.Tensor, stay: torch.Tensor, leave: torch.Tensor, partner: torch.Tensor
) -> torch.Tensor:
    """(B, N, C) to (B, N - r, C): class token, even tokens that stay, odd ones with who joined.

    By a product, because on a GPU a scattered sum differs from run to run in its last digits, and
    with it the next block's choice.
    """
    even, odd = values[:, 2::2], values[:, 1::2]
    joins = partner == torch.arange(odd.shape[1], device=partner.device)  # (B, r, N // 2)
    joined = joins.to(values.dtype).transpose(1, 2) @ even.take_along_dim(leave, dim=1)
    return torch.cat((values[:, :1], even.take_along_dim(stay, dim=1), odd + joined), dim=1)
