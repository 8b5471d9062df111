"""The best trials once more, with other seeds: what their values are worth, and which are equal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from search.ranking import leaders
from search.record import Record, State
from search.samplers import Start

REPEAT = "repeat"  # why a decision begins one
BEST = 3  # configurations that are repeated
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Repeats:
    """Each of the best configurations is trained `times` times in all.

    A repeat's seed is the sweep's `seed` and the number of the repeat.
    """

    times: int
    seed: int
    directions: Mapping[str, str]
    learned: Sequence[str]

    def next(self, records: Sequence[Record]) -> Start | None:
        """The next repeat that is missing of one of the best trials."""
        if self.times < 2:
            return None
        ended = [r for r in records if r.state == State.COMPLETE and not r.repeat_of]
        for original in leaders(ended, self.directions, self.learned)[:BEST]:
            made = {record.seed for record in records if record.repeat_of == original.key}
            for number in range(1, self.times):
                if (seed := self.seed + number) not in made:
                    why = {"because": REPEAT, "of": original.key, "seed": seed}
                    return Start(original.params, why)
        return None


@dataclass(frozen=True, slots=True)
class Repeated:
    """What the trainings of one configuration reached: those of `original`, and its repeats."""

    original: Record
    values: tuple[float, ...]
    tie: bool = False

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def deviation(self) -> float:
        """Over seeds; NaN for a single training."""
        return math.sqrt(variance(self.values)) if len(self.values) > 1 else math.nan


def repeated(records: Sequence[Record], direction: str) -> list[Repeated]:
    """The configurations that were trained several times, the best mean first.

    One is a tie with the best if their means differ by less than what chance makes of equal ones in
    one of twenty cases: Student's t with the variance that all of them have together.
    """
    found = [r for r in _repeated(records) if len(r.values) > 1]
    found.sort(key=lambda r: -r.mean if direction == "max" else r.mean)
    free = sum(len(r.values) - 1 for r in found)
    if not free:
        return []
    from scipy.special import stdtrit  # a second, when there is something to compare

    pooled = sum((len(r.values) - 1) * r.deviation**2 for r in found) / free
    reach = float(stdtrit(free, (1 + _CONFIDENCE) / 2)) * math.sqrt(pooled)
    best = found[0]
    return [
        Repeated(
            r.original,
            r.values,
            abs(best.mean - r.mean) <= reach * math.sqrt(1 / len(best.values) + 1 / len(r.values)),
        )
        for r in found
    ]


def _repeated(records: Sequence[Record]) -> Iterator[Repeated]:
    ended = [r for r in records if r.state == State.COMPLETE and r.value is not None]
    for original in ended:
        if original.repeat_of:
            continue
        same = [original, *(r for r in ended if r.repeat_of == original.key)]
        yield Repeated(original, tuple(r.value for r in same if r.value is not None))
