"""What a first stage at an image size of its own asks of a configuration.

Its model has the same patches in pixels, and so another grid; it is `pretrain_image_size` that must
hold them.
"""

from dataclasses import replace

from spaces.rules import Divides, PatchDivides, Rule
from spaces.space import Space

SIZE, DATA = "pretrain_image_size", "pretrain_data"


def with_first_stage(space: Space) -> Space:
    """`space` with its rules for the image size said of the first stage's too, if it has one."""
    if SIZE not in {*space.params, *space.fixed}:
        return space
    said: list[Rule] = []
    for rule in space.rules:
        if rule == Divides("grid", "image_size"):
            said.append(PatchDivides(SIZE))
        elif isinstance(rule, Divides) and rule.dividend == "image_size":
            said.append(Divides(rule.divisor, SIZE))
    return replace(space, rules=(*space.rules, *said))
