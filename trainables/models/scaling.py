"""Networks of fixed stages, made narrower or wider, shallower or deeper by a factor each."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainables.models.ranges import range_mistakes

LEAST_PX = 32  # the stages halve an image five times
_FACTORS = (1 / 16, 16)


@dataclass(frozen=True, kw_only=True, slots=True)
class StageFactors:
    """`width` and `depth` multiply the channels and the blocks of all stages as published."""

    width: float = 1.0
    depth: float = 1.0
    dropout: float = 0.0
    drop_path: float = 0.0
    fine_tune: bool = True

    def mistakes(self, image_size: int) -> list[str]:
        wrong = range_mistakes(self, width=_FACTORS, depth=_FACTORS)
        if image_size < LEAST_PX:
            wrong.append(
                f"the image must have at least {LEAST_PX} px (such as 56 or 224), "
                f"given {image_size}"
            )
        return wrong

    def channels(self, published: Sequence[int], multiple: int = 8) -> tuple[int, ...]:
        """`published` times `width`, each rounded to a multiple of `multiple`."""
        return tuple(
            max(multiple, round(channels * self.width / multiple) * multiple)
            for channels in published
        )

    def blocks(self, published: Sequence[int]) -> tuple[int, ...]:
        """`published` times `depth`, each at least 1."""
        return tuple(max(1, round(blocks * self.depth)) for blocks in published)
