"""HiViT: MLPs on fine patches, then plain attention on coarse ones (Zhang et al. 2023).

Blocks of the first two stages have an MLP in the place of attention. Before the second and the
third, 2 x 2 positions become one of twice the width. B batch, N tokens, H heads, C channels;
maps are (B, height, width, C).
"""

from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.functional import pad, scaled_dot_product_attention

from trainables.models.attention import softmax
from trainables.models.block import MLP, Branch, PreNorm
from trainables.models.geometry import Geometry, Patches
from trainables.models.ranges import range_mistakes
from trainables.models.resize import over_grid
from trainables.models.whole_model import WholeModel

MERGED = 4  # finest patches per side in a token of the last stage
NORM_EPS = 1e-6
_RANGES = {
    "dim": (1, 65_536),
    "heads": (1, 4096),
    "depth": (1, 1000),
    "early_depth": (1, 1000),
    "mlp_ratio": (1, 64),
    "early_mlp_ratio": (1, 64),
}
PUBLISHED = {"Hi ViT-Ti/16": {"patch": 4}}  # 16 px in the last stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Patches):
    """`grid` or `patch` are those of the finest patches; four times four of them become a token.

    `dim` is the last stage's width, the stages before have a quarter and a half. `depth` blocks
    have attention with `heads` heads, `early_depth` in each of the two stages before have none;
    `mlp_ratio` and `early_mlp_ratio` widen their MLPs. `drop_path` is the last block's rate,
    rising linearly.
    """

    dim: int = 192
    heads: int = 3
    depth: int = 10
    early_depth: int = 1
    mlp_ratio: float = 4.0
    early_mlp_ratio: float = 3.0
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = self.patch_mistakes(image_size)
        if not wrong and image_size // self.patch_size(image_size) % MERGED:
            patch = self.patch_size(image_size)
            wrong.append(
                f"HiViT needs a multiple of {MERGED} patches per side (such as 28, 48 or 56), "
                f"given {image_size // patch} patches of {patch} px"
            )
        wrong += range_mistakes(self, **_RANGES)
        if self.dim % 4:
            wrong.append(f"dim must be a multiple of 4, given {self.dim}")
        if self.dim % max(1, self.heads):
            wrong.append(f"heads={self.heads} must divide dim={self.dim}")
        return wrong


class RelativeAttention(softmax.Attention):
    """Softmax attention with a learned bias for every offset (Liu et al. 2021, equation 4).

    (B, N, D) to the same, the tokens those of a grid without class token.
    """

    def __init__(self, geometry: Geometry):
        super().__init__(geometry, softmax.Config(qkv_bias=True))
        rows, columns = geometry.grid
        # all that two positions of the grid can lie apart, itself a grid
        self.offsets = replace(geometry, grid=(2 * rows - 1, 2 * columns - 1), prefix=0)
        self.table = nn.Parameter(torch.randn(self.offsets.tokens, geometry.heads) * 0.02)
        down, right = torch.arange(rows), torch.arange(columns)
        down = (down[:, None] - down + rows - 1)[:, None, :, None]
        right = (right[:, None] - right + columns - 1)[None, :, None, :]
        entry = (down * (2 * columns - 1) + right).flatten(2).flatten(0, 1)  # (N, N)
        self.register_buffer("entry", entry, persistent=False)

    entry: torch.Tensor

    def resampled(self, source: "RelativeAttention") -> dict[str, torch.Tensor]:
        """Biases follow the grid of offsets, bicubic."""
        return {"table": over_grid(source.table, source.offsets, self.offsets)}

    def bias(self) -> torch.Tensor:
        """What is added to the scores: (1, H, N, N)."""
        return self.table[self.entry].permute(2, 0, 1).unsqueeze(0)

    def biased(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        q, k, v = self.split(x)
        return self.joined(scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.biased(x, self.bias())


class Merge(nn.Module):
    """2 x 2 positions to one of twice the width: (B, h, w, C) to (B, ⌈h/2⌉, ⌈w/2⌉, 2C).

    Maps of an odd side get a row and a column of zeros, as in Swin.
    """

    def __init__(self, width: int, norm_eps: float):
        super().__init__()
        self.norm = nn.LayerNorm(4 * width, eps=norm_eps)
        self.reduce = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (B, h/2, 2, w/2, 2, C)
        return self.reduce(self.norm(x.transpose(2, 3).flatten(3)))


class Model(WholeModel):
    """Images (B, C, H, W) to logits (B, classes)."""

    def assemble(self, config: Config, image_size: int, num_classes: int, in_chans: int) -> None:
        fine, half, D = config.dim // 4, config.dim // 2, config.dim
        patch = config.patch_size(image_size)
        side = image_size // patch // MERGED
        self.geometry = Geometry(width=D, heads=config.heads, grid=(side, side), prefix=0)
        self.embed = nn.Conv2d(in_chans, fine, kernel_size=patch, stride=patch)
        self.embed_norm = nn.LayerNorm(fine, eps=NORM_EPS)
        early = config.early_depth
        self.early = nn.Sequential(
            *(self._mlps(fine, index) for index in range(early)),
            Merge(fine, NORM_EPS),
            *(self._mlps(half, early + index) for index in range(early)),
            Merge(half, NORM_EPS),
        )
        self.position = nn.Parameter(torch.randn(1, self.geometry.tokens, D) * 0.02)
        self.blocks = nn.Sequential(
            *(self._attention(2 * early + index) for index in range(config.depth))
        )
        self.norm = nn.LayerNorm(D, eps=NORM_EPS)
        self.head = nn.Linear(D, num_classes)

    def _branch(self, width: int, index: int) -> Branch:
        last = max(1, self.config.depth + 2 * self.config.early_depth - 1)
        return Branch(
            width=width,
            dropout=self.config.dropout,
            drop_path=self.config.drop_path * index / last,
            layer_scale=None,
            norm_eps=NORM_EPS,
        )

    def _mlps(self, width: int, index: int) -> nn.Module:
        hidden = int(self.config.early_mlp_ratio * width)
        mixer, feed = (MLP(width, hidden, self.config.dropout) for _ in range(2))
        return PreNorm(self._branch(width, index), mixer, feed)

    def _attention(self, index: int) -> nn.Module:
        D, config = self.config.dim, self.config
        feed = MLP(D, int(config.mlp_ratio * D), config.dropout)
        return PreNorm(self._branch(D, index), RelativeAttention(self.geometry), feed)

    def resampled(self, source: "Model") -> dict[str, torch.Tensor]:
        """Positions follow the grid, bicubic."""
        return {"position": over_grid(source.position, source.geometry, self.geometry)}

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.early(self.embed_norm(self.embed(images).movedim(1, -1)))
        tokens = self.blocks(maps.flatten(1, 2) + self.position)
        return self.head(self.norm(tokens.mean(dim=1)))
