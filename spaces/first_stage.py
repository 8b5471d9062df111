"""The rules for a first stage that has an image size of its own.

The patches of its model have the same size in pixels, so its grid differs, and the patches must
fit into `pretrain_image_size`.
"""

from dataclasses import replace

from spaces.rules import Divides, PatchDivides, Rule
from spaces.space import Space

SIZE, DATA = "pretrain_image_size", "pretrain_data"


def with_first_stage(space: Space) -> Space:
    """`space`, with its rules for the image size also applied to that of a first stage."""
    if SIZE not in {*space.params, *space.fixed}:
        return space
    said: list[Rule] = []
    for rule in space.rules:
        if rule == Divides("grid", "image_size"):
            said.append(PatchDivides(SIZE))
        elif isinstance(rule, Divides) and rule.dividend == "image_size":
            said.append(Divides(rule.divisor, SIZE))
    return replace(space, rules=(*space.rules, *said))
