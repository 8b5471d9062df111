"""One published configuration and its results."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Point:
    """A published configuration.

    Attributes:
        address: where it stands in `spaces/published`.
        params: values of the space's parameters.
        results: `valid_top1` and `test_top1` as fractions, `params` (the published count) and
            `gflops` (published, or else counted by this project).
        note: what was corrected.
        data: the images that the results are for.
        image_size: their size in px.
    """

    run_id: str
    address: str
    params: Mapping[str, Value]
    results: Mapping[str, float] = field(default_factory=dict[str, float])
    image_size: int = 224
    data: str = "Galaxy Zoo 2"
    gflops_published: bool = False
    note: str = ""
