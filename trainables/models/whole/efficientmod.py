"""EfficientMod: convolutional context that multiplies projected values (Ma et al. 2024).

Four stages of modulation blocks, the last two with self-attention behind them. B batch, H and W
the sides of a map, C its channels; maps are (B, H, W, C) inside a stage. Of any image size.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import gelu

from trainables.models.attention import softmax
from trainables.models.block import MLP, Branch, PreNorm
from trainables.models.geometry import Geometry
from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import WholeModel

# multiples of `dim` and of `depth`, and the MLP's ratio where a stage has attention
STAGES = ((1, 1, 0), (2, 1, 0), (4, 2, 4), (8, 1, 5))
NORM_EPS = 1e-5
PUBLISHED = {
    # narrower than the network of this name in its own paper, whose stages have 32 to 312 channels
    "Efficient Mod-S": {"dim": 32, "depth": 4, "attention_depth": 4},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Stages have 1, 2, 4 and 8 times `dim` channels.

    They have `depth` modulation blocks, the third twice as many; `attention_depth` blocks of
    attention follow in the third and the fourth. Modulation widens every second block's values
    `expansion` times. `layer_scale` is the initial LayerScale of modulation blocks; `drop_path` is
    the last block's rate, rising linearly.
    """

    dim: int = 32
    depth: int = 4
    attention_depth: int = 4
    heads: int = 8
    expansion: int = 6
    kernel_size: int = 7
    layer_scale: float = 1e-4
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, _image_size: int) -> list[str]:
        wrong = range_mistakes(
            self,
            dim=(1, 8192),
            depth=(1, 500),
            attention_depth=(0, 1000),
            heads=(1, 4096),
            expansion=(1, 64),
        )
        if self.attention_depth and 4 * self.dim % max(1, self.heads):
            wrong.append(f"heads={self.heads} must divide 4 dim={4 * self.dim}")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            wrong.append(f"kernel_size must be odd and at least 1, given {self.kernel_size}")
        return wrong


class Modulation(nn.Module):
    """out(values(x) * context(x)), the context shared by the `expansion` parts of the values.

    (B, H, W, C) to the same; values go through GELU where they are expanded. Equation 4.
    """

    def __init__(self, width: int, expansion: int, kernel_size: int):
        super().__init__()
        self.expansion = expansion
        self.before, self.after = nn.Linear(width, width), nn.Linear(width, width)
        self.local = nn.Conv2d(width, width, kernel_size, padding=kernel_size // 2, groups=width)
        self.values = nn.Linear(width, expansion * width)
        self.out = nn.Linear(expansion * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        local = self.local(self.before(x).movedim(-1, 1)).movedim(1, -1)
        context = self.after(gelu(local)).unsqueeze(-2)
        values = self.values(x) if self.expansion == 1 else gelu(self.values(x))
        return self.out((values.unflatten(-1, (self.expansion, -1)) * context).flatten(-2))


class ModulationBlock(nn.Module):
    """x + modulation(norm(x)): token mixer and feed-forward network in one."""

    def __init__(self, branch: Branch, expansion: int, kernel_size: int):
        super().__init__()
        self.branch = branch.around(Modulation(branch.width, expansion, kernel_size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x)


class Stage(nn.Module):
    """(B, C, H, W) through a convolution and the blocks to a smaller (B, C', H', W')."""

    def __init__(self, embed: nn.Module, blocks: nn.Module, attention: nn.Module, width: int):
        super().__init__()
        self.embed, self.norm = embed, nn.LayerNorm(width, eps=NORM_EPS)
        self.blocks, self.attention = blocks, attention

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.norm(self.embed(maps).movedim(1, -1)))
        return self.attention(x.flatten(1, 2)).unflatten(1, x.shape[1:3]).movedim(-1, 1)


def _branches(config: Config) -> Iterator[tuple[int, list[Branch], list[Branch]]]:
    """Of every stage the width and the branches of its modulation and of its attention."""
    sizes = [(d * config.depth, config.attention_depth if r else 0) for _, d, r in STAGES]
    last, index = max(1, sum(map(sum, sizes)) - 1), 0
    for (factor, _, _), counts in zip(STAGES, sizes, strict=True):
        width, parts = factor * config.dim, []
        for count, scale in zip(counts, (config.layer_scale, None), strict=True):
            part = [
                Branch(
                    width=width,
                    dropout=config.dropout,
                    drop_path=config.drop_path * (index + position) / last,
                    layer_scale=scale,
                    norm_eps=NORM_EPS,
                )
                for position in range(count)
            ]
            index += count
            parts.append(part)
        yield width, parts[0], parts[1]


class Model(WholeModel):
    """Images (B, C, H, W) to logits (B, classes)."""

    def assemble(self, config: Config, image_size: int, num_classes: int, in_chans: int) -> None:
        stages, channels, side = [], in_chans, image_size
        for (_, _, ratio), (width, modulated, attended) in zip(
            STAGES, _branches(config), strict=True
        ):
            kernel, stride = (7, 4) if not stages else (3, 2)
            side = -(-side // stride)
            embed = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2)
            blocks = (
                ModulationBlock(branch, config.expansion if index % 2 else 1, config.kernel_size)
                for index, branch in enumerate(modulated)
            )
            attention = (self._attention(branch, side, ratio) for branch in attended)
            stages.append(Stage(embed, nn.Sequential(*blocks), nn.Sequential(*attention), width))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.head = nn.Linear(channels, num_classes)

    def _attention(self, branch: Branch, side: int, ratio: int) -> nn.Module:
        heads, width = self.config.heads, branch.width
        geometry = Geometry(width=width, heads=heads, grid=(side, side), prefix=0)
        mixer = softmax.Attention(geometry, softmax.Config())
        return PreNorm(branch, mixer, MLP(width, ratio * width, self.config.dropout))

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stages(images).flatten(2).transpose(1, 2)
        return self.head(self.norm(x).mean(dim=1))
