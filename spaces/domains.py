"""The values that a parameter may take."""

import math
import random
from dataclasses import dataclass
from typing import Protocol, cast

from spaces.point import Value


class Domain(Protocol):
    """The values that one parameter may take."""

    def contains(self, value: object) -> bool: ...

    def draw(self, rng: random.Random) -> Value: ...

    @property
    def size(self) -> float:
        """The number of values; infinite for a real interval."""
        ...


def _check_range(low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"a range needs finite ends, given {low} to {high}")
    if low > high:
        raise ValueError(f"the range {low} to {high} is empty: its low end is above its high end")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must begin above 0, given {low}")


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


@dataclass(frozen=True, slots=True)
class Integer:
    """Whole numbers from `low` to `high`, both included, in steps of `step`."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self):
        _check_range(self.low, self.high, self.log)
        if any(type(number) is not int for number in (self.low, self.high, self.step)):
            raise ValueError(f"an Integer has whole numbers, given {self.low} to {self.high}")
        if self.step < 1 or (self.high - self.low) % self.step:
            raise ValueError(f"step {self.step} does not lead from {self.low} to {self.high}")
        if self.log and self.step != 1:
            raise ValueError("a logarithmic Integer has step 1")

    def contains(self, value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def draw(self, rng: random.Random) -> int:
        if self.log:
            return round(_log_uniform(rng, self.low, self.high))
        return rng.randrange(self.low, self.high + 1, self.step)

    @property
    def size(self) -> float:
        return (self.high - self.low) // self.step + 1

    def __str__(self) -> str:
        return f"{self.low} to {self.high}" + (f" in steps of {self.step}" * (self.step > 1))


@dataclass(frozen=True, slots=True)
class Real:
    """Real numbers from `low` to `high`, both included; `log` draws them on a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self):
        _check_range(self.low, self.high, self.log)

    def contains(self, value: object) -> bool:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high

    def draw(self, rng: random.Random) -> float:
        pick = _log_uniform if self.log else random.Random.uniform
        return min(max(pick(rng, self.low, self.high), self.low), self.high)

    @property
    def size(self) -> float:
        return 1 if self.low == self.high else math.inf

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values, which have no order."""

    values: tuple[Value, ...]

    def __post_init__(self):
        given = cast(object, self.values)
        if not isinstance(given, tuple) or not given:
            raise ValueError("a Choice needs a tuple of at least one value")
        kinds = (bool, int, float, str)
        if odd := [v for v in cast(tuple[object, ...], given) if not isinstance(v, kinds)]:
            raise ValueError(f"a Choice is among numbers, texts, True and False, given {odd[0]!r}")
        if len({(type(value), value) for value in self.values}) < len(self.values):
            raise ValueError(f"a Choice names each value once, given {self.values}")

    def contains(self, value: object) -> bool:
        return any(type(value) is type(known) and value == known for known in self.values)

    def draw(self, rng: random.Random) -> Value:
        return rng.choice(self.values)

    @property
    def size(self) -> float:
        return len(self.values)

    def __str__(self) -> str:
        return "one of " + ", ".join(map(str, self.values))
