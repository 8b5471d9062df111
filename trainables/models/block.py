"""The residual blocks of the plain shell: a token mixer, then a feed-forward network.

B batch, N tokens, D width. Norms, LayerScale, dropout and drop path are arranged here once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from trainables.models.geometry import Geometry

NormMaker = Callable[[int, float], nn.Module]


class LayerScale(nn.Module):
    """A learned factor for every channel of a branch (Touvron et al. 2021, CaiT, equation 4)."""

    def __init__(self, width: int, init: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), init))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma


class DropPath(nn.Module):
    """Leave a branch out for a random share `rate` of samples (Huang et al. 2016, equation 2)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        shape = (len(x),) + (1,) * (x.dim() - 1)
        kept = torch.rand(shape, device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class MLP(nn.Sequential):
    """Linear, GELU, dropout, Linear: (B, N, D) to (B, N, D) through `hidden` channels."""

    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )


def rising(rate: float, blocks: int) -> list[float]:
    """Drop path rates of `blocks` blocks, from 0 at the first linearly to `rate` at the last."""
    return [rate * index / max(1, blocks - 1) for index in range(blocks)]


def layer_norm(width: int, eps: float) -> nn.Module:
    return nn.LayerNorm(width, eps=eps)


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """What surrounds the body of a residual branch."""

    width: int
    dropout: float
    drop_path: float
    layer_scale: float | None
    norm_eps: float
    norm: NormMaker = layer_norm

    def around(self, *bodies: nn.Module, norm_first: bool = True) -> nn.Sequential:
        """The `bodies` in a row, each behind a norm unless told otherwise, then `thinned`."""
        parts: list[nn.Module] = []
        for body in bodies:
            parts += [self.make_norm()] * norm_first + [body]
        return nn.Sequential(*parts, *self.thinned())

    def thinned(self) -> nn.Sequential:
        """What a branch goes through before it is added: dropout, LayerScale, drop path."""
        parts: list[nn.Module] = [nn.Dropout(self.dropout)]
        if self.layer_scale is not None:
            parts.append(LayerScale(self.width, self.layer_scale))
        return nn.Sequential(*parts, DropPath(self.drop_path))

    def make_norm(self) -> nn.Module:
        return self.norm(self.width, self.norm_eps)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layers:
    """What a trunk is built of: a `Branch` for every block, first to last, and what they hold.

    `mixer()` makes a token mixer, `feed()` a feed-forward network, `block` says how a plain trunk
    arranges them, `pool` what the head reads of what the trunk leaves.
    """

    geometry: Geometry
    branches: Sequence[Branch]
    mixer: Callable[[], nn.Module]
    feed: Callable[[], nn.Module]
    block: str = "pre_norm"
    pool: str = "class"

    def places(self, stages: int) -> list[int]:
        """Of `stages` evenly spread blocks the indices; those that fall together count once."""
        depth = len(self.branches)
        return sorted({stage * depth // (stages + 1) for stage in range(1, stages + 1)})

    def reduction_mistakes(self, *, class_only: bool = False) -> list[str]:
        """Why tokens cannot be reduced in these layers; `class_only`: only the first is read."""
        wrong = []
        if self.geometry.prefix != 1:
            wrong.append(
                "the first token must be the class token: class_token must be True and "
                "class_depth 0"
            )
        if self.block != "pre_norm":
            wrong.append(f"block must be 'pre_norm', given {self.block!r}")
        if class_only and self.pool != "class":
            wrong.append(f"only the class token is read: pool must be 'class', given {self.pool!r}")
        return wrong


class PreNorm(nn.Module):
    """x + mixer(norm(x)), then x + feed(norm(x)) (Wang et al. 2019)."""

    def __init__(self, branch: Branch, mixer: nn.Module, feed: nn.Module):
        super().__init__()
        self.mix, self.feed = branch.around(mixer), branch.around(feed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mix(x)
        return x + self.feed(x)


class OpenBlock(nn.Module):
    """The parts of a `PreNorm` block whose mixer a trunk takes apart."""

    def __init__(self, branch: Branch, mixer: Any, feed: nn.Module):
        super().__init__()
        self.norm, self.mixer, self.thinned = branch.make_norm(), mixer, branch.thinned()
        self.feed = branch.around(feed)


class PostNorm(nn.Module):
    """norm(x + mixer(x)), then norm(x + feed(x)) (Vaswani et al. 2017)."""

    def __init__(self, branch: Branch, mixer: nn.Module, feed: nn.Module):
        super().__init__()
        self.mix = branch.around(mixer, norm_first=False)
        self.feed = branch.around(feed, norm_first=False)
        self.mix_norm, self.feed_norm = branch.make_norm(), branch.make_norm()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mix_norm(x + self.mix(x))
        return self.feed_norm(x + self.feed(x))


class OneResidual(nn.Module):
    """x + feed(norm(mixer(norm(x)))): one residual around both (Rao et al. 2021, GFNet)."""

    def __init__(self, branch: Branch, mixer: nn.Module, feed: nn.Module):
        super().__init__()
        self.both = branch.around(mixer, feed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.both(x)


BLOCKS: dict[str, Callable[[Branch, nn.Module, nn.Module], nn.Module]] = {
    "pre_norm": PreNorm,
    "post_norm": PostNorm,
    "one_residual": OneResidual,
}


def plain(layers: Layers) -> nn.Module:
    """The trunk of most models: one block after the other, (B, N, D) to (B, N, D)."""
    block = BLOCKS[layers.block]
    return nn.Sequential(*(block(b, layers.mixer(), layers.feed()) for b in layers.branches))
