"""Class attention: late layers that update only the class token (CaiT, Touvron et al. 2021).

B batch, N tokens, H heads, D width. Equations 5 to 8.
"""

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from trainables.models.block import MLP, Branch


class ClassAttention(nn.Module):
    """The first token asks all of them: (B, N, D) to (B, 1, D)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        if width % heads:
            raise ValueError(f"heads={heads} must divide dim={width}")
        self.heads = heads
        self.q, self.kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = self.q(x[:, :1]).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(x).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class ClassBlock(nn.Module):
    """(B, 1, D) class token and (B, N - 1, D) patches to the next class token."""

    def __init__(self, branch: Branch, heads: int, hidden: int):
        super().__init__()
        self.mix = branch.around(ClassAttention(branch.width, heads))
        self.feed = branch.around(MLP(branch.width, hidden, branch.dropout))

    def forward(self, class_token: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        class_token = class_token + self.mix(torch.cat((class_token, patches), dim=1))
        return class_token + self.feed(class_token)
