"""DynamicViT: small predictors decide which patches go on (Rao et al. 2021).

Training draws the decisions and keeps every token, with what is left out hidden from the others'
attention; evaluation keeps the best by the same scores and leaves the rest out. Both agree through
a loss that leads the drawn share of every image to the share that evaluation keeps.
B batch, N tokens, H heads, D width, E head width.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import gumbel_softmax, pad, scaled_dot_product_attention

from trainables.models import auxiliary
from trainables.models.block import Branch, Layers, OpenBlock
from trainables.models.precision import full_precision, widened
from trainables.models.vit import SMALL

PUBLISHED = {
    "Dynamic ViT-S/16": {**SMALL, "qkv_bias": True, "class_position": True, "keep_rate": 0.9}
}
_NORM_EPS = 1e-5  # of the predictors alone, as the authors have it
_HIDDEN = 1e-6  # the weight of a hidden key beside that of a kept one


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Each of `stages` predictors, evenly spread, keeps `keep_rate` of what came to it.

    None stands before the first block, where it would be blind, and no two before the same: in a
    shell of few blocks there are fewer, in one of a single block none.
    `ratio_weight` is that of the loss of the kept shares; 0, as in WTTF, leaves those of
    training to themselves.
    """

    keep_rate: float = 0.9
    stages: int = 3
    ratio_weight: float = 2.0

    def mistakes(self, _image_size: int) -> list[str]:
        wrong = []
        if not 0 < self.keep_rate <= 1:
            wrong.append(f"keep_rate must lie in (0, 1], given {self.keep_rate}")
        if self.stages < 1:
            wrong.append(f"stages must be at least 1, given {self.stages}")
        if self.ratio_weight < 0:
            wrong.append(f"ratio_weight must be at least 0, given {self.ratio_weight}")
        return wrong


class Trunk(nn.Module):
    """(B, N, D) to (B, N', D); N' = N in training.

    In training the patches that were left out are still there, so the head must read the class
    token.
    """

    def __init__(self, layers: Layers, config: Config):
        super().__init__()
        geometry = layers.geometry
        wrong = layers.reduction_mistakes(class_only=True)
        if geometry.width % 4:
            wrong.append(f"dim={geometry.width} must be a multiple of 4")
        if wrong:
            raise ValueError("; ".join(wrong))
        self.config, self.patches = config, geometry.tokens - 1
        self.blocks = nn.ModuleList(
            Block(branch, layers.mixer(), layers.feed()) for branch in layers.branches
        )
        places = [place for place in layers.places(config.stages) if place]
        self.predictors = nn.ModuleDict(
            {str(place): Predictor(layers.branches[place]) for place in places}
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, rate = None, 1.0
        for index, block in enumerate(self.blocks):
            if str(index) in self.predictors:
                rate *= self.config.keep_rate
                scores = self.predictors[str(index)](x[:, 1:], kept)
                if self.training:
                    kept = self._drawn(scores, kept, rate)
                else:
                    x = best(x, scores, max(1, int(self.patches * rate)))
            x = block(x, kept)
        return x

    def _drawn(
        self, scores: torch.Tensor, before: torch.Tensor | None, rate: float
    ) -> torch.Tensor:
        """1 where a patch is kept, 0 where not, now or `before`, with the scores' gradient."""
        kept = draw(scores) if before is None else draw(scores) * before
        if auxiliary.wanted():
            miss = (widened(kept).mean(dim=1) - rate).square().mean()
            auxiliary.add("kept_share", self.config.ratio_weight / len(self.predictors) * miss)
        return kept


class Predictor(nn.Module):
    """Scores of patches from themselves and from the mean of those that are kept."""

    def __init__(self, branch: Branch):
        super().__init__()
        D = branch.width
        self.inward = nn.Sequential(nn.LayerNorm(D, eps=_NORM_EPS), nn.Linear(D, D), nn.GELU())
        self.outward = nn.Sequential(
            nn.Linear(D, D // 2),
            nn.GELU(),
            nn.Linear(D // 2, D // 4),
            nn.GELU(),
            nn.Linear(D // 4, 2),
        )

    def forward(self, patches: torch.Tensor, kept: torch.Tensor | None) -> torch.Tensor:
        """(B, N - 1, D) to the scores (B, N - 1, 2) of being kept and of being left out."""
        own, shared = self.inward(patches).chunk(2, dim=2)
        if kept is None:
            shared = shared.mean(dim=1, keepdim=True)
        else:
            weights = kept / kept.sum(dim=1, keepdim=True).clamp_min(1)
            shared = weights.unsqueeze(1) @ shared
        return self.outward(torch.cat((own, shared.expand_as(own)), dim=2))


class Block(OpenBlock):
    """x + attention(norm(x)), then x + feed(norm(x)), attention to the `kept` patches alone."""

    def forward(self, x: torch.Tensor, kept: torch.Tensor | None) -> torch.Tensor:
        heads = self.mixer.split(self.norm(x))
        if kept is None:
            mixed = scaled_dot_product_attention(*heads)
        else:
            mixed = partial_attention(*heads, kept)
        x = x + self.thinned(self.mixer.joined(mixed))
        return x + self.feed(x)


@full_precision
def draw(scores: torch.Tensor) -> torch.Tensor:
    """A decision for every patch, (B, N - 1): 0 or 1 forwards, the probability's gradient back."""
    return gumbel_softmax(scores, hard=True)[..., 0]


@full_precision
def partial_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, kept: torch.Tensor
) -> torch.Tensor:
    """Attention to oneself, to the class token and to the `kept` patches (equation 11).

    A token always sees itself: the diagonal of the mask is the constant 1. A hidden key keeps a
    little weight: without it no gradient would tell that it should be seen.
    """
    H, N, E = q.shape[1:]
    kept = torch.cat((torch.ones_like(kept[:, :1]), kept), dim=1)
    logs = (kept + _HIDDEN * (1 - kept)).log()[:, None, :, None].expand(-1, H, -1, -1)
    itself = (q * k).sum(dim=3, keepdim=True)
    # further channels stand for summands of the scores: the gradient of a mask takes N x N places.
    # The mask hides the diagonal, and one more key has every token's score for itself and no other
    # value than a 1 in a further channel, so that its weight comes out. Fused attention wants
    # multiples of 4.
    q = torch.cat((q, torch.full_like(itself, E**0.5), itself), dim=3)
    k = torch.cat((k, logs, torch.zeros_like(logs)), dim=3)
    own = torch.zeros_like(k[:, :, :1])
    own[..., -1] = 1
    k, q = pad(torch.cat((k, own), dim=2), (0, 2)), pad(q, (0, 2))
    padded = pad(torch.cat((v, torch.zeros_like(v[:, :, :1])), dim=2), (0, 4))
    padded[:, :, -1, E] = 1
    others = torch.eye(N, N + 1, dtype=torch.bool, device=q.device).logical_not()
    mixed = scaled_dot_product_attention(q, k, padded, attn_mask=others, scale=E**-0.5)
    return mixed[..., :E] + mixed[..., E : E + 1] * v


def best(x: torch.Tensor, scores: torch.Tensor, count: int) -> torch.Tensor:
    """The class token and the `count` patches with the highest scores: (B, 1 + count, D)."""
    # by the difference, in which half precision tells more patches apart than in a probability
    ranked = (scores[..., :1] - scores[..., 1:]).argsort(dim=1, descending=True)
    return torch.cat((x[:, :1], x[:, 1:].take_along_dim(ranked[:, :count], dim=1)), dim=1)
