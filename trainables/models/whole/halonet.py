"""HaloNet: attention of blocks to themselves and a halo around them (Vaswani et al. 2021).

As timm builds it. The image is cut into blocks at every stage, so its size is a multiple of 32.
Batch norm throughout, over the batches of all workers: a batch of fewer than about 8 images makes
its statistics noisy, and with them every validation.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch

from trainables.models.ranges import range_mistakes
from trainables.models.resize import over_length
from trainables.models.whole_model import TimmModel

STRIDE = 32
ARCHITECTURES = ("halonet_h1", "halonet26t", "halonet50ts")
PUBLISHED = {"HaloNet-H1": {"architecture": "halonet_h1"}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`architecture` as timm calls it; `halo` is the border of a block, in positions.

    A block has `block_size` positions per side; None takes the last map as one block: 8 at 256 px,
    as published, 7 at 224.
    """

    architecture: str = "halonet_h1"
    block_size: int | None = None
    halo: int = 3
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def block(self, image_size: int) -> int:
        return image_size // STRIDE if self.block_size is None else self.block_size

    def mistakes(self, image_size: int) -> list[str]:
        wrong, last = range_mistakes(self, halo=(1, 16)), image_size // STRIDE
        if self.architecture not in ARCHITECTURES:
            allowed = ", ".join(ARCHITECTURES)
            wrong.append(f"architecture must be one of {allowed}, given {self.architecture!r}")
        if image_size % STRIDE or not last:
            wrong.append(
                f"HaloNet needs an image size that is a multiple of {STRIDE} px (such as 192, 224, "
                f"256 or 384), given {image_size}"
            )
        elif self.block(image_size) < 1 or last % self.block(image_size):
            fits = ", ".join(str(size) for size in range(1, last + 1) if last % size == 0)
            wrong.append(
                f"block_size must divide the last map's {last} positions per side "
                f"(allowed: {fits}), given {self.block_size}"
            )
        return wrong


def _cut(block: Any, cut: dict[str, int]) -> Any:
    """timm's configuration of a block, or of several, with its own sizes replaced by `cut`."""
    if isinstance(block, (list, tuple)):
        return tuple(_cut(part, cut) for part in block)
    own = block.self_attn_kwargs
    return replace(block, self_attn_kwargs={**own, **cut}) if own else block


class Model(TimmModel):
    """timm's ByobNet of one of its halo configurations."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> Any:
        from timm.models.byoanet import model_cfgs
        from timm.models.byobnet import ByobNet

        cut = {"block_size": config.block(image_size), "halo_size": config.halo}
        published = model_cfgs[config.architecture]
        blocks = tuple(_cut(block, cut) for block in published.blocks)
        return ByobNet(
            replace(published, blocks=blocks, self_attn_kwargs=cut),
            drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )

    def resampled(self, source: "Model") -> dict[str, torch.Tensor]:
        """The tables of relative positions, one entry per offset, follow linearly."""
        old, fresh = source.state_dict(), self.state_dict()
        return {
            name: over_length(old[name], len(fresh[name]))
            for name in fresh
            if old[name].shape != fresh[name].shape
        }
