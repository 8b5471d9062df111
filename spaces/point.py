"""One published configuration, and what it reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Point:
    """A published configuration: its `address` in `spaces/published`, what it reached there.

    `params` are values of the space's parameters; `results`, on images of `data` at `image_size`
    px, are fractions (`valid_top1`, `test_top1`), `params`, the published count, and `gflops`,
    published or else counted by this project; `note` says what was corrected.
    """

    run_id: str
    address: str
    params: Mapping[str, Value]
    results: Mapping[str, float] = field(default_factory=dict[str, float])
    image_size: int = 224
    data: str = "Galaxy Zoo 2"
    gflops_published: bool = False
    note: str = ""
