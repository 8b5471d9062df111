"""ResNet with bottlenecks (He et al. 2016), as timm builds it. Of any image size.

Batch norm throughout, over the batches of all workers: a batch of fewer than about 8 images makes
its statistics noisy, and with them every validation.
"""

from dataclasses import dataclass
from typing import Any

from trainables.models.ranges import range_mistakes
from trainables.models.whole_model import TimmModel

LAYERS = {26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
PUBLISHED = {"ResNet50": {"depth": 50}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`width` is the number of channels of the stem and of the first stage's bottlenecks."""

    depth: int = 50
    width: int = 64
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, _image_size: int) -> list[str]:
        wrong = range_mistakes(self, width=(1, 4096))
        if self.depth not in LAYERS:
            wrong.append(f"depth must be one of {', '.join(map(str, LAYERS))}, given {self.depth}")
        return wrong


class Model(TimmModel):
    """timm's ResNet."""

    @staticmethod
    def make(config: Config, image_size: int, **sizes: Any) -> Any:  # noqa: ARG004
        from timm.models.resnet import Bottleneck, ResNet

        width = config.width
        return ResNet(
            Bottleneck,  # type: ignore[arg-type]  # timm annotates an instance
            layers=LAYERS[config.depth],
            stem_width=width,
            channels=(width, 2 * width, 4 * width, 8 * width),
            drop_rate=config.dropout,
            drop_path_rate=config.drop_path,
            **sizes,
        )
