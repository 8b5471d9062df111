"""Wave-ViT: attention to wavelet sub-bands, from which the map comes back whole (Yao et al. 2022).

Sections 3.2 and 3.3. B batch, N tokens, H heads, D width, E = D / H.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, pad, scaled_dot_product_attention

from trainables.models.attention import softmax
from trainables.models.block import Branch, PreNorm, rising
from trainables.models.class_attention import ClassBlock
from trainables.models.geometry import Geometry
from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import WholeModel

PUBLISHED = {"WaveViT-S": {}}
_HEADS = (2, 4, 10, 14)
_MLP_RATIOS = (8, 8, 4, 4)
_STRIDES = (4, 2, 0, 0)  # over the sub-bands that are attended to; 0: plain attention
_NORM_EPS = 1e-6
_INNER_EPS = 1e-5  # of norms behind a convolution
# sums, differences of rows, of columns and of both: orthonormal, so that it inverts itself
_HAAR = (((1, 1), (1, 1)), ((1, 1), (-1, -1)), ((1, -1), (1, -1)), ((1, -1), (-1, 1)))
_RANGES = {
    "dim_head": (2, 1024),
    "depth_1": (1, 100),
    "depth_2": (1, 100),
    "depth_3": (1, 100),
    "depth_4": (1, 100),
    "mlp_scale": (0.25, 4),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`dim_head` is E; the four stages have 2, 4, 10 and 14 heads.

    `depth_1` to `depth_4` are the blocks of the stages, `mlp_scale` multiplies the ratios of their
    feed-forward networks (8, 8, 4, 4). `drop_path` is the rate of the last block, from 0 at the
    first it rises linearly. Stem and wavelet attention have batch norms over all positions of all
    workers' batches; their maps are large, so that few images do little harm.
    """

    dim_head: int = 32
    depth_1: int = 3
    depth_2: int = 4
    depth_3: int = 6
    depth_4: int = 3
    mlp_scale: float = 1.0
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    @property
    def depths(self) -> tuple[int, ...]:
        return self.depth_1, self.depth_2, self.depth_3, self.depth_4

    def mistakes(self, _image_size: int) -> list[str]:
        wrong = range_mistakes(self, **_RANGES)
        if self.dim_head % 2:
            wrong.append(f"dim_head must be even, given {self.dim_head}")
        return wrong

    def stages(self, image_size: int) -> list[Geometry]:
        """The tokens of the four stages."""
        sides = [-(-image_size // 2**step) for step in (2, 3, 4, 5)]
        return [
            Geometry(width=heads * self.dim_head, heads=heads, grid=(side, side), prefix=0)
            for heads, side in zip(_HEADS, sides, strict=True)
        ]


def _conv(channels: int, width: int, size: int, stride: int = 1, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels, width, size, stride, padding=size // 2, bias=bias)


def _normed(conv: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU())


def _tokens(maps: torch.Tensor) -> torch.Tensor:
    """(B, D, h, w) to (B, N, D)."""
    return maps.flatten(2).transpose(1, 2)


def _maps(tokens: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """(B, N, D) to (B, D, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, geometry.grid)


class WaveletAttention(nn.Module):
    """Attention to filtered sub-bands, beside the map that they make up: (B, N, D) to (B, N, D).

    A map whose side is no multiple of twice the stride is padded with zeros, so that nothing is cut
    off.
    """

    haar: torch.Tensor

    def __init__(self, geometry: Geometry, stride: int):
        super().__init__()
        D, self.geometry = geometry.width, geometry
        self.padding = -geometry.grid[0] % (2 * stride)
        filters = torch.tensor(_HAAR).view(4, 1, 2, 2) / 2
        self.register_buffer("haar", filters.repeat(D // 4, 1, 1, 1), persistent=False)
        self.q = nn.Linear(D, D)
        self.reduced = _normed(_conv(D, D // 4, 1))
        self.filtered = _normed(_conv(D, D, 3))
        self.coarse = nn.Conv2d(D, D, stride, stride)
        self.kv = nn.Sequential(nn.LayerNorm(D, eps=_INNER_EPS), nn.Linear(D, 2 * D))
        self.out = nn.Linear(D + D // 4, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (height, width), H = self.geometry.grid, self.geometry.heads
        maps = self.reduced(_maps(x, self.geometry))
        if self.padding:
            maps = pad(maps, (0, self.padding, 0, self.padding))
        transform = {"weight": self.haar, "stride": 2, "groups": maps.shape[1]}
        bands = self.filtered(conv2d(maps, **transform))  # of D / 4 channels four bands each
        whole = conv_transpose2d(bands, **transform)[..., :height, :width]
        q = self.q(x).unflatten(-1, (H, -1)).transpose(1, 2)
        kv = self.kv(_tokens(self.coarse(bands)))
        k, v = kv.unflatten(-1, (2, H, -1)).permute(2, 0, 3, 1, 4)
        found = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.out(torch.cat((found, _tokens(whole)), dim=-1))


class ConvMLP(nn.Module):
    """An MLP whose hidden channels meet their neighbours on the map: (B, N, D) to (B, N, D)."""

    def __init__(self, geometry: Geometry, hidden: int, dropout: float):
        super().__init__()
        self.geometry = geometry
        self.widen = nn.Linear(geometry.width, hidden)
        self.local = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.narrow = nn.Sequential(
            nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, geometry.width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = _maps(self.widen(x), self.geometry)
        return self.narrow(_tokens(self.local(maps)))


class Stage(nn.Module):
    """Maps (B, C, h, w), halved, through the blocks: (B, N, D)."""

    def __init__(self, channels: int, width: int, blocks: list[PreNorm]):
        super().__init__()
        self.embed = _conv(channels, width, 3, 2)
        self.norm = nn.LayerNorm(width, eps=_INNER_EPS)
        self.blocks = nn.Sequential(*blocks)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.norm(_tokens(self.embed(maps))))


class Model(WholeModel):
    """Images (B, C, H, W) to logits (B, classes), of any image size."""

    def assemble(self, config: Config, image_size: int, num_classes: int, in_chans: int) -> None:
        self.geometries = config.stages(image_size)
        widths = [geometry.width for geometry in self.geometries]
        stem = widths[0] // 2
        self.stem = nn.Sequential(
            _normed(_conv(in_chans, stem, 7, 2, bias=False)),
            _normed(_conv(stem, stem, 3, bias=False)),
            _normed(_conv(stem, stem, 3, bias=False)),
        )
        self.stages = self._stages([stem, *widths])
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=_NORM_EPS) for width in widths)
        hidden = round(_MLP_RATIOS[-1] * config.mlp_scale * widths[-1])
        self.class_block = ClassBlock(self._branch(widths[-1], 0.0), _HEADS[-1], hidden)
        self.head = nn.Linear(widths[-1], num_classes)

    def _stages(self, widths: list[int]) -> nn.ModuleList:
        depths = self.config.depths
        rates = iter(rising(self.config.drop_path, sum(depths)))
        blocks = [
            [self._block(stage, next(rates)) for _ in range(depth)]
            for stage, depth in enumerate(depths)
        ]
        return nn.ModuleList(map(Stage, widths[:-1], widths[1:], blocks))

    def _block(self, stage: int, drop_path: float) -> PreNorm:
        geometry, stride = self.geometries[stage], _STRIDES[stage]
        hidden = round(_MLP_RATIOS[stage] * self.config.mlp_scale * geometry.width)
        if stride:
            mixer = WaveletAttention(geometry, stride)
        else:
            mixer = softmax.Attention(geometry, softmax.Config(qkv_bias=True))
        feed = ConvMLP(geometry, hidden, self.config.dropout)
        return PreNorm(self._branch(geometry.width, drop_path), mixer, feed)

    def _branch(self, width: int, drop_path: float) -> Branch:
        return Branch(
            width=width,
            dropout=self.config.dropout,
            drop_path=drop_path,
            layer_scale=None,
            norm_eps=_NORM_EPS,
        )

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stages[0](self.stem(images))
        between = zip(self.geometries, self.norms, self.stages[1:], strict=False)
        for geometry, norm, stage in between:
            x = stage(_maps(norm(x), geometry))
        x = self.class_block(x.mean(dim=1, keepdim=True), x)
        return self.head(self.norms[-1](x)[:, 0])
