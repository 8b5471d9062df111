"""What a search may vary: domains of values, and rules for their combinations.

A `Space` is frozen and literal. Besides the parameters, its rules know two quantities that depend
on the image size: `image_size` in pixels, and `tokens`, the grid's patches plus the class token.
"""

import difflib
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from spaces.point import Point, Value
from spaces.rules import Divides, Rule


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
        if not self.values:
            raise ValueError("a Choice needs at least one value")
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


@dataclass(frozen=True, kw_only=True)
class Space:
    """The parameters of a search with their domains, constants, rules and published points.

    `model` is the model's name for `trainables.models.build`, `family` its class in WTTF's
    taxonomy; `fixed` are constants of every trial.
    """

    params: Mapping[str, Domain]
    model: str = ""
    family: str = ""
    fixed: Mapping[str, Value] = field(default_factory=dict[str, Value])
    rules: tuple[Rule, ...] = ()
    published: tuple[Point, ...] = ()
    source: str = ""

    def __post_init__(self):
        twice = sorted(self.params.keys() & self.fixed.keys())
        if twice:
            raise ValueError(f"searched and fixed at once: {', '.join(twice)}")

    @property
    def size(self) -> float:
        """The number of configurations, without regard to the rules."""
        return math.prod(domain.size for domain in self.params.values())

    def quantities(self, params: Mapping[str, Value], image_size: int) -> dict[str, Value]:
        """`params` with the constants and the quantities that depend on the image size."""
        known: dict[str, Value] = {**self.fixed, **params, "image_size": image_size}
        if "patch" in known:
            known.setdefault("grid", max(1, image_size // int(known["patch"])))
        if "grid" in known:
            known["tokens"] = int(known["grid"]) ** 2 + 1
        return known

    def broken(self, params: Mapping[str, Value], image_size: int) -> list[str]:
        """The rules that `params` break at `image_size`, each with the values that break it."""
        known = self.quantities(params, image_size)
        return [
            f"{rule} ({', '.join(f'{name}={known[name]}' for name in rule.names)})"
            for rule in self.rules
            if all(name in known for name in rule.names) and not rule.holds(known)
        ]

    def draw(self, rng: random.Random) -> dict[str, Value]:
        """A random value for every parameter, and the constants; the rules are not checked."""
        return {**self.fixed, **{name: d.draw(rng) for name, d in self.params.items()}}

    def outside(self, params: Mapping[str, Value]) -> list[str]:
        """Which values of `params` lie outside their domains, are missing or are not searched."""
        wrong = [
            f"{name}={params[name]} is not {domain}"
            for name, domain in self.params.items()
            if name in params and not domain.contains(params[name])
        ]
        wrong += [f"{name} is missing" for name in self.params if name not in params]
        wrong += [f"{name} is not searched" for name in params if name not in self.params]
        return wrong

    def fix(self, values: Mapping[str, Value]) -> "Space":
        """This space with `values` held constant. `patch` and `grid` exclude each other."""
        dropped, rules = set(values), self.rules
        for kept, other in (("patch", "grid"), ("grid", "patch")):
            if kept in values:
                dropped.add(other)
                same: dict[Rule, Rule] = {Divides(other, "image_size"): Divides(kept, "image_size")}
                rules = tuple(same.get(rule, rule) for rule in rules)
        return replace(
            self,
            params={name: domain for name, domain in self.params.items() if name not in dropped},
            fixed={k: v for k, v in self.fixed.items() if k not in dropped} | dict(values),
            rules=rules,
        )


def nearest(given: str, known: list[str]) -> str:
    """`; did you mean 'x'?` for the known name nearest to `given`, or an empty string."""
    close = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
