"""Switch: every token goes through one of several expert MLPs (Fedus et al. 2022, equations 1, 2).

A router picks the expert with the largest probability p for each token; the output is p E(x). No
token is dropped. B batch, N tokens, T = B N, D width, F hidden width, E experts.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import gelu, linear

from trainables.models import auxiliary
from trainables.models.precision import full_precision
from trainables.models.vit import SMALL

PUBLISHED = {
    "Switch ViT-8-S/16": {
        **SMALL,
        "qkv_bias": True,
        "layer_scale": 1e-4,
        "experts": 8,
        "balance_weight": 1.0,
        "faithful": True,
    },
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`balance_weight` is that of the load-balancing loss (equation 4; published with 1).

    `faithful` scales the output by p divided by its own value: 1 forwards, p's gradient backwards.
    """

    experts: int = 8
    balance_weight: float = 0.01
    faithful: bool = False

    def mistakes(self, _image_size: int) -> list[str]:
        if not 1 <= self.experts <= 1024:
            return [f"experts must lie between 1 and 1024, given {self.experts}"]
        return []


@full_precision
def _probabilities(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return linear(x, weight, bias).softmax(dim=-1)


class FeedForward(nn.Module):
    """Experts and their router, (B, N, D) to (B, N, D)."""

    def __init__(self, width: int, hidden: int, dropout: float, config: Config):
        super().__init__()
        D, F, E = width, hidden, config.experts
        self.config = config
        self.router = nn.Linear(D, E)
        # stacked, so that an expert without a token has a gradient of zero and not none
        self.up, self.up_bias = _uniform(E, F, D, fan_in=D), _uniform(E, F, fan_in=D)
        self.down, self.down_bias = _uniform(E, D, F, fan_in=F), _uniform(E, D, fan_in=F)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(0, 1)  # (T, D)
        probabilities = _probabilities(tokens, self.router.weight, self.router.bias)  # (T, E)
        p, chosen = probabilities.max(dim=-1)
        counts = chosen.bincount(minlength=self.config.experts)
        if self.training and auxiliary.wanted():
            balance = self._balance(counts, probabilities)
            auxiliary.add("expert_balance", self.config.balance_weight * balance)
        order = chosen.argsort(stable=True)
        groups = tokens[order].split(counts.tolist())
        mixed = torch.cat([self._expert(e, group) for e, group in enumerate(groups)])
        back = order.argsort()
        gate = p / p.detach() if self.config.faithful else p
        return (mixed[back] * gate.to(mixed.dtype).unsqueeze(-1)).view(x.shape)

    def _expert(self, e: int, group: torch.Tensor) -> torch.Tensor:
        hidden = self.dropout(gelu(linear(group, self.up[e], self.up_bias[e])))
        return linear(hidden, self.down[e], self.down_bias[e])

    def _balance(self, counts: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        """Equation 4 without its weight: 1 where all experts get the same, at most E."""
        shares = counts / counts.sum()
        return self.config.experts * shares @ probabilities.float().mean(dim=0)


def _uniform(*shape: int, fan_in: int) -> nn.Parameter:
    """Drawn as torch's Linear draws its weights and biases."""
    return nn.Parameter(torch.empty(shape).uniform_(-(fan_in**-0.5), fan_in**-0.5))
