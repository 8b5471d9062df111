"""The plain vision transformer shell (Dosovitskiy et al. 2021), into which attentions are put.

B batch, N tokens, H heads, D width. Everything that is not the token mixer is written here once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from trainables.models.geometry import Geometry

_WTTF = {
    "patch": 16,
    "depth": 12,
    "qkv_bias": True,
    "layer_scale": 1e-4,
    "class_position": False,
    "norm_eps": 1e-6,
}
# far beyond any published model: what is larger is a slip, and would take minutes to refuse
_LARGEST = {"depth": 1000, "dim": 65_536, "heads": 4096, "mlp_dim": 262_144}
PUBLISHED = {
    "ViT-Ti/16": _WTTF | {"dim": 192, "heads": 3},
    "ViT-S/16": _WTTF | {"dim": 384, "heads": 6},
    "ViT-B/16": _WTTF | {"dim": 768, "heads": 12},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The shell's hyperparameters.

    Exactly one of `grid` (tokens a side) and `patch` (pixels) is given. `mlp_dim` None means
    4 `dim`. `layer_scale` is the initial value of LayerScale, None leaves it out.
    `class_position` gives the class token a position of its own. `fine_tune` False freezes all
    but the head.
    """

    depth: int
    dim: int
    heads: int
    grid: int | None = None
    patch: int | None = None
    mlp_dim: int | None = None
    dropout: float = 0.0
    emb_dropout: float = 0.0
    layer_scale: float | None = None
    class_position: bool = True
    norm_eps: float = 1e-5
    fine_tune: bool = True

    def patch_size(self, image_size: int) -> int:
        """Pixels a side of a patch; raises ValueError if the image cannot be cut so."""
        if (self.grid is None) == (self.patch is None):
            raise ValueError("exactly one of grid (tokens a side) and patch (pixels) must be given")
        name, side = ("grid", self.grid) if self.patch is None else ("patch", self.patch)
        if not side or side < 1 or image_size % side:
            fits = [d for d in range(1, image_size + 1) if image_size % d == 0]
            raise ValueError(
                f"{name}={side} must divide the image's {image_size} px "
                f"(allowed: {', '.join(map(str, fits))})"
            )
        return image_size // side if self.patch is None else side

    def mistakes(self, image_size: int) -> list[str]:
        wrong = []
        try:
            self.patch_size(image_size)
        except ValueError as error:
            wrong.append(str(error))
        for name, most in _LARGEST.items():
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                wrong.append(f"{name} must lie between 1 and {most}, given {value}")
        for name in ("dropout", "emb_dropout"):
            if not 0 <= getattr(self, name) < 1:
                wrong.append(f"{name} must lie in [0, 1), given {getattr(self, name)}")
        return wrong


class LayerScale(nn.Module):
    """A learned factor for every channel of a branch (Touvron et al. 2021, CaiT, equation 4)."""

    def __init__(self, width: int, init: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), init))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma


class Block(nn.Module):
    """Pre-norm residual block: x + mixer(LN(x)), then x + MLP(LN(x))."""

    def __init__(self, mixer: nn.Module, config: Config):
        super().__init__()
        D, hidden = config.dim, config.mlp_dim or 4 * config.dim
        drop = config.dropout
        mlp = nn.Sequential(nn.Linear(D, hidden), nn.GELU(), nn.Dropout(drop), nn.Linear(hidden, D))
        self.mix = self._branch(mixer, config)
        self.feed = self._branch(mlp, config)

    @staticmethod
    def _branch(body: nn.Module, config: Config) -> nn.Module:
        parts = [nn.LayerNorm(config.dim, eps=config.norm_eps), body, nn.Dropout(config.dropout)]
        if config.layer_scale is not None:
            parts.append(LayerScale(config.dim, config.layer_scale))
        return nn.Sequential(*parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mix(x)
        return x + self.feed(x)


class VisionTransformer(nn.Module):
    """Images (B, C, H, W) to logits (B, classes), read off the class token.

    `mixer(geometry)` makes the token mixer of one block, a module from (B, N, D) to (B, N, D).
    """

    def __init__(
        self,
        config: Config,
        mixer: Callable[[Geometry], nn.Module],
        *,
        image_size: int,
        num_classes: int,
        in_chans: int,
    ):
        super().__init__()
        D, patch = config.dim, config.patch_size(image_size)
        side = image_size // patch
        geometry = Geometry(width=D, heads=config.heads, grid=(side, side))
        self.class_position = config.class_position
        self.image_size = image_size
        self.embed = nn.Conv2d(in_chans, D, kernel_size=patch, stride=patch)
        self.class_token = nn.Parameter(torch.randn(1, 1, D) * 0.02)
        positions = geometry.tokens if config.class_position else math.prod(geometry.grid)
        self.position = nn.Parameter(torch.randn(1, positions, D) * 0.02)
        self.dropout = nn.Dropout(config.emb_dropout)
        self.blocks = nn.Sequential(*(Block(mixer(geometry), config) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(D, eps=config.norm_eps)
        self.head = nn.Linear(D, num_classes)
        if not config.fine_tune:
            self.requires_grad_(False)
            self.head.requires_grad_(True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(
                f"built for {self.image_size} px, given {tuple(images.shape[-2:])} px images"
            )
        x = self.embed(images).flatten(2).transpose(1, 2)  # (B, N - 1, D)
        class_token = self.class_token.expand(len(x), -1, -1)
        if self.class_position:
            x = torch.cat((class_token, x), dim=1) + self.position
        else:
            x = torch.cat((class_token, x + self.position), dim=1)
        x = self.blocks(self.dropout(x))
        return self.head(self.norm(x[:, 0]))
