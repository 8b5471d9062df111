"""ResT: memory-efficient attention whose heads listen to each other (Zhang and Yang 2021).

Section 3.2, equation 4; positions by pixel attention, section 3.3. B batch, N tokens, M tokens that
are attended to, H heads, D width, E = D / H.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import conv2d, instance_norm, scaled_dot_product_attention

from trainables.models.block import MLP, Branch, PreNorm, rising
from trainables.models.geometry import Geometry
from trainables.models.precision import full_precision
from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import WholeModel

PUBLISHED = {"ResT-S": {}}
_GROWTH = (1, 2, 4, 8)  # width and heads of the four stages, in those of the first
_REDUCTION = (8, 4, 2, 1)  # stride over the tokens that are attended to
_NORM_EPS = 1e-5
_RANGES = {
    "width": (2, 4096),
    "heads": (1, 256),
    "depth_1": (1, 100),
    "depth_2": (1, 100),
    "depth_3": (1, 100),
    "depth_4": (1, 100),
    "mlp_ratio": (1, 16),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`width` channels and `heads` in the first stage, doubled with every later one.

    `depth_1` to `depth_4` are the blocks of the stages. `drop_path` is the rate of the last block,
    from 0 at the first it rises linearly. The stem and the steps between stages have batch norms
    over all positions of all workers' batches: few images make them noisy, as the last map is
    small.
    """

    width: int = 64
    heads: int = 1
    depth_1: int = 2
    depth_2: int = 2
    depth_3: int = 6
    depth_4: int = 2
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    @property
    def depths(self) -> tuple[int, ...]:
        return self.depth_1, self.depth_2, self.depth_3, self.depth_4

    def mistakes(self, image_size: int) -> list[str]:
        wrong = range_mistakes(self, **_RANGES)
        if self.width % 2:
            wrong.append(f"width must be even, its half is the stem's, given {self.width}")
        if self.heads > 0 and self.width % self.heads:
            wrong.append(f"heads={self.heads} must divide width={self.width}")
        if image_size <= 32:
            wrong.append(
                "ResT needs more than 32 px (such as 56 or 224): the weights of a single token, "
                f"normed, are zero; given {image_size}"
            )
        return wrong

    def stages(self, image_size: int) -> list[Geometry]:
        """The tokens of the four stages."""
        sides = [-(-image_size // (4 * growth)) for growth in _GROWTH]
        return [
            Geometry(width=g * self.width, heads=g * self.heads, grid=(side, side), prefix=0)
            for g, side in zip(_GROWTH, sides, strict=True)
        ]


class Reduced(nn.Module):
    """Fewer tokens, by a depthwise convolution of their map: (B, N, D) to (B, M, D)."""

    def __init__(self, geometry: Geometry, stride: int):
        super().__init__()
        D, self.grid = geometry.width, geometry.grid
        self.conv = nn.Conv2d(D, D, stride + 1, stride, stride // 2, groups=D)
        self.norm = nn.LayerNorm(D, eps=_NORM_EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = x.transpose(1, 2).unflatten(2, self.grid)
        return self.norm(self.conv(maps).flatten(2).transpose(1, 2))


@full_precision
def normed_weights(
    q: torch.Tensor, k: torch.Tensor, mixture: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """IN(softmax(mixed(q kᵀ))), (B, H, N, M): of every head mean 0 and variance 1.

    The norm magnifies how weights near 1 / M differ: half precision would lose it.
    """
    logits = conv2d(q @ k.transpose(2, 3), mixture, bias)
    return instance_norm(logits.softmax(dim=-1))


class EfficientAttention(nn.Module):
    """IN(softmax(mixed(Q Kᵀ / √E))) V, K and V of fewer tokens: (B, N, D) to (B, N, D).

    `mixed` is a learned mixture of the heads. A single head has none, and no norm either. Normed
    weights sum to 0 over the keys, so that a bias of V cancels; the published count has it.
    """

    def __init__(self, geometry: Geometry, stride: int, *, qkv_bias: bool):
        super().__init__()
        D, H = geometry.width, geometry.heads
        self.heads, self.scale = H, (D // H) ** -0.5
        self.q = nn.Linear(D, D, bias=qkv_bias)
        self.kv = nn.Linear(D, 2 * D, bias=qkv_bias)
        self.reduced = Reduced(geometry, stride) if stride > 1 else nn.Identity()
        # a bias shifts all logits of a head and so changes nothing; the published count has it
        self.mixed = nn.Conv2d(H, H, 1) if H > 1 else None
        self.out = nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(self.reduced(x)).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.mixed is None:
            found = scaled_dot_product_attention(q, k, v)
        else:
            found = normed_weights(q * self.scale, k, self.mixed.weight, self.mixed.bias) @ v
        return self.out(found.transpose(1, 2).flatten(2))


class PixelAttention(nn.Module):
    """Every position weighted by what surrounds it, (B, D, h, w) to the same shape."""

    def __init__(self, width: int):
        super().__init__()
        self.gate = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * self.gate(maps).sigmoid()


def _stem(channels: int, width: int) -> nn.Sequential:
    """Images (B, C, h, w) to maps (B, D, h / 4, w / 4)."""
    half, parts = width // 2, []
    for inputs, stride in ((channels, 2), (half, 1)):
        conv = nn.Conv2d(inputs, half, 3, stride, padding=1, bias=False)
        parts += [conv, nn.BatchNorm2d(half), nn.ReLU()]
    last = nn.Conv2d(half, width, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(*parts, last, PixelAttention(width))


def _step(channels: int, width: int) -> nn.Sequential:
    """Maps (B, C, h, w) to (B, D, h / 2, w / 2)."""
    conv = nn.Conv2d(channels, width, 3, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(width), PixelAttention(width))


def _begun_small(module: nn.Module) -> None:
    """Begin with logits near 0: below the ε of the norm, which else magnifies every rounding."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Model(WholeModel):
    """Images (B, C, H, W) to logits (B, classes), of any image size above 32 px."""

    def assemble(self, config: Config, image_size: int, num_classes: int, in_chans: int) -> None:
        self.embeds, self.stages = nn.ModuleList(), nn.ModuleList()
        self.geometries = config.stages(image_size)
        channels = in_chans
        rates = iter(rising(config.drop_path, sum(config.depths)))
        for geometry, depth, stride in zip(self.geometries, config.depths, _REDUCTION, strict=True):
            D = geometry.width
            self.embeds.append(_step(channels, D) if self.embeds else _stem(channels, D))
            blocks = (self._block(geometry, stride, next(rates)) for _ in range(depth))
            self.stages.append(nn.Sequential(*blocks))
            channels = D
        self.norm = nn.LayerNorm(channels, eps=_NORM_EPS)
        self.head = nn.Linear(channels, num_classes)
        self.apply(_begun_small)

    def _block(self, geometry: Geometry, stride: int, drop_path: float) -> PreNorm:
        config, D = self.config, geometry.width
        branch = Branch(
            width=D,
            dropout=config.dropout,
            drop_path=drop_path,
            layer_scale=None,
            norm_eps=_NORM_EPS,
        )
        attention = EfficientAttention(geometry, stride, qkv_bias=config.qkv_bias)
        return PreNorm(branch, attention, MLP(D, round(config.mlp_ratio * D), config.dropout))

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        x = maps = images
        for embed, blocks, geometry in zip(self.embeds, self.stages, self.geometries, strict=True):
            x = blocks(embed(maps).flatten(2).transpose(1, 2))
            maps = x.transpose(1, 2).unflatten(2, geometry.grid)
        return self.head(self.norm(x).mean(dim=1))
