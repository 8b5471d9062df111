"""The trials of a sweep in order: by one objective, or those that none beats in all."""

from collections.abc import Mapping, Sequence
from typing import cast

from reports.pareto import Direction, front
from search.record import Record


def best_first(
    records: Sequence[Record], directions: Mapping[str, str], learned: Sequence[str]
) -> list[Record]:
    """Trials with a value, by the first objective that training shows."""
    rated = [r for r in records if r.value is not None and r.accepted]
    sign = -1 if directions[learned[0]] == "max" else 1
    return sorted(rated, key=lambda record: sign * (record.value or 0.0))


def front_of(
    records: Sequence[Record], directions: Mapping[str, str], learned: Sequence[str]
) -> list[Record]:
    """The trials that no other beats in all objectives, the best first."""
    ranked = best_first(records, directions, learned)
    points = [[record.objective(name, learned) for name in directions] for record in ranked]
    return [ranked[i] for i in front(points, cast(list[Direction], list(directions.values())))]


def leaders(
    records: Sequence[Record], directions: Mapping[str, str], learned: Sequence[str]
) -> list[Record]:
    """By one objective all in order; of several the front."""
    order = front_of if len(directions) > 1 else best_first
    return order(records, directions, learned)
