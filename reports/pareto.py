"""Which trials are best: by one number (`ranking`) and by several at once (`front`)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Direction = Literal["min", "max"]
_SIGN = {"min": 1.0, "max": -1.0}


def front(points: Sequence[Sequence[float | None]], better: Sequence[Direction]) -> list[int]:
    """Ascending indices of the points that no other point dominates.

    A point dominates another if it is worse in no objective and better in at least one; equal
    points do not dominate each other, so duplicates stay together. A point with None or NaN is on
    no front. O(n log n) for two objectives, O(n · size of the front) for more.

    Args:
        points: each with one value per objective.
        better: `min` or `max` for each objective.

    Raises:
        ValueError: an unknown direction, or a point with more or fewer values than `better`.
    """
    unknown = sorted({str(word) for word in better} - _SIGN.keys())
    if unknown:
        raise ValueError(f"unknown direction {', '.join(unknown)}; each is 'min' or 'max'")
    costs: list[tuple[tuple[float, ...], int]] = []
    for index, point in enumerate(points):
        if len(point) != len(better):
            raise ValueError(
                f"point {index} has {len(point)} values for {len(better)} objectives; "
                "give one value per objective (None where it is missing)"
            )
        known = [value for value in point if value is not None and not math.isnan(value)]
        if len(known) == len(better):
            signed = (_SIGN[word] * value for word, value in zip(better, known, strict=True))
            costs.append((tuple(signed), index))
    # A point's dominators sort before it. With two objectives the second one falls along the
    # front, so comparing with its last member is enough.
    kept: list[tuple[tuple[float, ...], int]] = []
    for cost, index in sorted(costs):
        rivals = kept[-1:] if len(better) == 2 else kept
        if not any(_dominates(rival, cost) for rival, _ in rivals):
            kept.append((cost, index))
    return sorted(index for _, index in kept)


def _dominates(rival: tuple[float, ...], cost: tuple[float, ...]) -> bool:
    return rival != cost and all(a <= b for a, b in zip(rival, cost, strict=True))


def ranking(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The complete trials by `best_valid_top1`, highest first; a tie goes to fewer parameters.

    Trials that repeat another with a seed of their own are left out. While no trial is complete,
    all that have an accuracy are ranked, whatever their state.
    """
    first = [trial for trial in trials if not trial.get("repeat_of")]
    scored = [trial for trial in first if is_finite(trial["best_valid_top1"])]
    complete = [trial for trial in scored if trial["state"] == "complete"]
    return sorted(
        complete or scored,
        key=lambda trial: (
            -trial["best_valid_top1"],
            math.inf if trial["params"] is None else trial["params"],
            trial["trial_key"],
        ),
    )


def is_finite(value: float | None) -> bool:
    """Whether a measured value can be ranked and drawn: neither missing nor NaN nor infinite."""
    return value is not None and math.isfinite(value)
