"""A-ViT: every token is computed only through as many blocks as it needs (Yin et al. 2022).

Adaptive computation time (Graves 2016): after each block the first channel of a token tells its
halting score h. Once its scores sum to 1, a token halts: nobody attends to it any more, and it
leaves. B batch, N tokens, M tokens that are left, D width.

How many operations an image takes depends on the image and on the weights: counted with weights
that halt nothing they are those of the plain shell, the most there can be.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import kl_div, scaled_dot_product_attention

from trainables.models import auxiliary
from trainables.models.block import Layers, OpenBlock
from trainables.models.precision import widened
from trainables.models.vit import SMALL

PUBLISHED = {
    "A-ViT-S/16": {
        **SMALL,
        "qkv_bias": True,
        "class_position": True,
        "gate_scale": 100.0,
        "gate_center": 3.0,
        "faithful": True,
    },
}
_ENOUGH = 0.99
_BEFORE = 0.98  # what the prior sums to over the blocks before the target
# added to a score: no softmax sees it beside another, and fp16 holds it
_UNSEEN = -1e4


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """h = sigmoid(`gate_scale` x₀ - `gate_center`).

    `ponder_weight` is that of the mean number of blocks a token takes. `prior_weight` is that of
    the distance of the scores' distribution over the blocks from a normal one around the block at
    `target_share` of the depth, one block wide. As the authors have it, the normal one sums to .98
    before that block, so to more than 1, and the distance is divided by the number of blocks.
    With the published gate tokens of untrained weights halt at once or never; the default's is
    gentler, as training begins from scratch.

    The scores are those of patches that have not halted. With `faithful` they are, as in the
    authors' code, those of all tokens of all images but the first (a slice along the wrong axis):
    a halted token's values are set to 0 in every block, while gradients pass as if they were not.
    Halted tokens then have most of the distribution, and with the published gate its gradient may
    point the other way.
    """

    gate_scale: float = 5.0
    gate_center: float = 3.0
    target_share: float = 2 / 3
    ponder_weight: float = 1e-3
    prior_weight: float = 0.01
    faithful: bool = False

    def mistakes(self, _image_size: int) -> list[str]:
        wrong = []
        if not self.gate_scale > 0:
            wrong.append(f"gate_scale must be above 0, given {self.gate_scale}")
        if not 0 <= self.target_share <= 1:
            wrong.append(f"target_share must lie in [0, 1], given {self.target_share}")
        return wrong


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What happened in one block, each (B, M): who took part, who halted, h, and its sum before."""

    active: torch.Tensor
    halting: torch.Tensor
    score: torch.Tensor
    spent: torch.Tensor


class Trunk(nn.Module):
    """(B, N, D) to the class token (B, 1, D), its mean over the blocks weighted by its scores.

    What the scores lack to 1 is the weight of the block at which it halts, at the latest the last.
    """

    def __init__(self, layers: Layers, config: Config):
        super().__init__()
        if wrong := layers.reduction_mistakes(class_only=True):
            raise ValueError("; ".join(wrong))
        self.config = config
        # whoever meets the last block halts there
        self.enough = (_ENOUGH,) * (len(layers.branches) - 1) + (-1.0,)
        self.blocks = nn.ModuleList(
            Block(branch, layers.mixer(), layers.feed()) for branch in layers.branches
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.shape[1]
        active = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        spent = widened(x.new_zeros(x.shape[:2]))
        output, steps = spent.new_zeros(len(x), x.shape[2]), []
        all_stay = self.training and self.config.faithful
        for enough, block in zip(self.enough, self.blocks, strict=True):
            x = block(x, active, emptied=all_stay)
            score = self._scores(x)
            halting = active & (spent + score > enough)
            steps.append(Step(active=active, halting=halting, score=score, spent=spent))
            weight = torch.where(halting, 1 - spent, score) * active
            output = output + weight[:, :1] * x[:, 0]
            spent, active = spent + score, active & ~halting
            if not self.training:
                active = active & active[:, :1]  # nobody reads an image whose class token halted
                if not active.any():
                    break
            if not all_stay:
                x, spent, active = _compacted(x, spent, active)
        if self.training and auxiliary.wanted():
            self._add_losses(steps, tokens)
        return output.to(x.dtype).unsqueeze(1)

    def _scores(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.config.gate_scale * widened(x[..., 0]) - self.config.gate_center)

    def _add_losses(self, steps: Sequence[Step], tokens: int) -> None:
        images = len(steps[0].active)
        taken = [step.active + step.halting * (1 - step.spent) for step in steps]
        ponder = torch.stack([blocks.sum() for blocks in taken]).sum() / (images * tokens)
        auxiliary.add("ponder", self.config.ponder_weight * ponder)
        if self.config.faithful:
            scores = torch.stack([step.score[min(1, images - 1) :].mean() for step in steps])
        else:  # the patches' alone
            scores = torch.stack([(step.score * step.active)[:, 1:].sum() for step in steps])
        shares = scores / scores.sum().clamp_min(torch.finfo(scores.dtype).tiny)
        depths = torch.arange(len(steps), dtype=scores.dtype, device=scores.device)
        target = self.config.target_share * len(steps)
        normal = (-0.5 * (depths - target).square()).exp()
        before = depths < max(target, 1) - 1e-6  # 2/3 of the depth may be a bit more than a block
        normal = normal * _BEFORE / normal[before].sum()
        prior = kl_div(shares.clamp(0.01, 0.99).log(), normal, reduction="sum") / len(steps)
        auxiliary.add("halting_prior", self.config.prior_weight * prior)


class Block(OpenBlock):
    """A pre-norm block in which only `active` tokens, (B, M), are attended to.

    With `emptied` the others come as 0, and as 0 into both branches.
    """

    def forward(
        self, x: torch.Tensor, active: torch.Tensor, *, emptied: bool = False
    ) -> torch.Tensor:
        if emptied:
            return self._emptied(x, active)
        x = x + self._mixed(self.norm(x), active)
        return x + self.feed(x)

    def _emptied(self, x: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        seen = active.unsqueeze(-1)
        x = x - (x * ~seen).detach()  # their values alone: gradients pass
        x = x + self._mixed(self.norm(x * seen) * seen, active)
        norm, *rest = self.feed
        branch = norm(x * seen) * seen
        for module in rest:
            branch = module(branch)
        return x + branch

    def _mixed(self, normed: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        q, k, v = self.mixer.split(normed)
        mask = None
        if not active.all():
            mask = q.new_zeros(active.shape).masked_fill(~active, _UNSEEN)[:, None, None]
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.thinned(self.mixer.joined(mixed))


def _compacted(
    x: torch.Tensor, spent: torch.Tensor, active: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Every image's class token and active tokens first, as many as the image with most has."""
    kept = torch.cat((torch.ones_like(active[:, :1]), active[:, 1:]), dim=1)
    most = int(kept.sum(dim=1).max())
    if most == x.shape[1]:
        return x, spent, active
    order = kept.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    x = x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.shape[2]))
    return x, spent.gather(1, order), active.gather(1, order)
