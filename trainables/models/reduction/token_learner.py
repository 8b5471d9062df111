"""TokenLearner: a few learned tokens take the patches' place (Ryoo et al. 2021, section 2).

A learned token is a weighted mean of all patches, its weights read from the patches by an MLP (the
paper's version 1.1). B batch, N tokens, D width, T learned tokens.
"""

from dataclasses import dataclass, replace
from math import prod

import torch
from torch import nn

from trainables.models.block import Branch, Layers, plain
from trainables.models.vit import SMALL

_PUBLISHED = {**SMALL, "qkv_bias": True, "layer_scale": 1e-4, "faithful": True}
PUBLISHED = {
    "Token Learner-8-50-S/16": {**_PUBLISHED, "insert_share": 0.5},
    "Token Learner-8-75-S/16": {**_PUBLISHED, "insert_share": 0.75},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`learned_tokens` is T; they come after `insert_share` of the blocks, never after the last
    and, of several, never before the first.

    `faithful` runs the blocks before the learned tokens again on them, in place of blocks of their
    own, which the published code does by oversight.
    """

    learned_tokens: int = 8
    insert_share: float = 0.5
    faithful: bool = False

    def mistakes(self, _image_size: int) -> list[str]:
        if not 0 <= self.insert_share <= 1:
            return [f"insert_share must lie in [0, 1], given {self.insert_share}"]
        return []


class Learner(nn.Module):
    """softmax(MLP(norm(X)))ᵀ X, the softmax over the patches: (B, N, D) to (B, T, D)."""

    def __init__(self, branch: Branch, tokens: int):
        super().__init__()
        hidden = 4 * branch.width
        self.weigh = nn.Sequential(
            branch.make_norm(),
            nn.Linear(branch.width, hidden),
            nn.GELU(),
            nn.Dropout(branch.dropout),
            # softmax cancels its bias, which the published counts have
            nn.Linear(hidden, tokens),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weigh(x).softmax(dim=1).transpose(1, 2) @ x


class Trunk(nn.Module):
    """Blocks over all tokens, then over the class token and the learned ones.

    (B, N, D) to (B, 1 + T, D).
    """

    def __init__(self, layers: Layers, config: Config):
        super().__init__()
        branches, patches = layers.branches, prod(layers.geometry.grid)
        depth = len(branches)
        before = min(max(1, round(config.insert_share * depth)), depth - 1)
        wrong = layers.reduction_mistakes()
        if not 1 <= config.learned_tokens <= patches:
            wrong.append(
                f"learned_tokens={config.learned_tokens} must lie between 1 and the "
                f"{patches} patches"
            )
        if config.faithful and not before:
            wrong.append(
                "faithful=True repeats the blocks before the learned tokens, of which one block "
                "leaves none: depth must be at least 2"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        self.first = plain(replace(layers, branches=branches[:before]))
        self.learner = Learner(branches[before], config.learned_tokens)
        self.second = (
            None if config.faithful else plain(replace(layers, branches=branches[before:]))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        x = torch.cat((x[:, :1], self.learner(x[:, 1:])), dim=1)
        return self.first(x) if self.second is None else self.second(x)
