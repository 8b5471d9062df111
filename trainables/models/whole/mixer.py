"""MLP-Mixer: MLPs over tokens and MLPs over channels (Tolstikhin et al. 2021), as timm builds it.

N tokens, T the hidden width over tokens.
"""

from dataclasses import dataclass
from typing import Any

import torch

from trainables.models.geometry import Geometry, Patches
from trainables.models.ranges import range_mistakes
from trainables.models.resize import over_grid
from trainables.models.whole_model import TimmModel

PUBLISHED = {"Mixer-S/16": {"depth": 8, "dim": 512, "patch": 16}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Patches):
    """`token_ratio` and `channel_ratio`: hidden widths of the two MLPs as multiples of `dim`."""

    depth: int = 8
    dim: int = 512
    token_ratio: float = 0.5
    channel_ratio: float = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = self.patch_mistakes(image_size)
        wrong += range_mistakes(self, depth=(1, 1000), dim=(1, 65_536))
        for name in ("token_ratio", "channel_ratio"):
            if int(getattr(self, name) * self.dim) < 1:
                wrong.append(f"{name} times dim must be at least 1, given {getattr(self, name)}")
        return wrong


class Model(TimmModel):
    """timm's MlpMixer."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> Any:
        from timm.models.mlp_mixer import MlpMixer

        return MlpMixer(
            img_size=image_size,
            patch_size=config.patch_size(image_size),
            num_blocks=config.depth,
            embed_dim=config.dim,
            mlp_ratio=(config.token_ratio, config.channel_ratio),
            proj_drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )

    def _geometry(self) -> Geometry:
        side = self.image_size // self.config.patch_size(self.image_size)
        return Geometry(width=self.config.dim, heads=1, grid=(side, side), prefix=0)

    def resampled(self, source: "Model") -> dict[str, torch.Tensor]:
        """The token MLPs' ends follow the grid, bilinear.

        What is summed over tokens is scaled by old / new tokens, so that a sum stays what it was.
        """
        old, new = source._geometry(), self._geometry()

        def follow(rows: torch.Tensor) -> torch.Tensor:
            return over_grid(rows, old, new, mode="bilinear")

        state = {}
        for index, block in enumerate(source.body.blocks):
            mlp, path = block.mlp_tokens, f"body.blocks.{index}.mlp_tokens"
            entry = follow(mlp.fc1.weight.T).T * (old.tokens / new.tokens)  # (T, N)
            state[f"{path}.fc1.weight"] = entry
            state[f"{path}.fc2.weight"] = follow(mlp.fc2.weight)  # (N, T)
            state[f"{path}.fc2.bias"] = follow(mlp.fc2.bias[:, None])[:, 0]
        return state
