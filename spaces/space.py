"""What a search may vary: domains of values, rules for their combinations, and conditions.

A parameter with conditions has an effect only where they hold: elsewhere a configuration does not
have it, so that what trains alike is one configuration. A `Space` is frozen and literal. Besides
the parameters, its rules know two quantities that depend on the image size: `image_size` in pixels,
and `tokens`, the grid's patches plus the class token.
"""

import difflib
import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from spaces.branches import branches
from spaces.conditions import Condition, parents
from spaces.domains import Choice, Domain, Integer, Real
from spaces.point import Point, Value
from spaces.rules import Divides, Rule

__all__ = ["Choice", "Domain", "Integer", "Point", "Real", "Space", "Value", "nearest"]


@dataclass(frozen=True, kw_only=True)
class Space:
    """The parameters of a search with their domains, constants, rules and published points.

    `model` is the model's name for `trainables.models.build`, `family` its class in WTTF's
    taxonomy; `fixed` are constants of every trial. `conditions` say when a parameter has an effect:
    where all of its own hold, as far as their parents are in the space.
    """

    params: Mapping[str, Domain]
    model: str = ""
    family: str = ""
    fixed: Mapping[str, Value] = field(default_factory=dict[str, Value])
    rules: tuple[Rule, ...] = ()
    conditions: Mapping[str, tuple[Condition, ...]] = field(
        default_factory=dict[str, tuple[Condition, ...]]
    )
    published: tuple[Point, ...] = ()
    source: str = ""

    def __post_init__(self):
        twice = sorted(self.params.keys() & self.fixed.keys())
        if twice:
            raise ValueError(f"searched and fixed at once: {', '.join(twice)}")
        try:
            _ = self.conditional
        except CycleError as error:
            circle = " on ".join(error.args[1])
            raise ValueError(f"conditions in a circle: {circle}") from None

    @cached_property
    def conditional(self) -> dict[str, tuple[Condition, ...]]:
        """The searched parameters that may have no effect, parents before children, and when."""
        known = self.params.keys() | self.fixed.keys()
        judged = {
            name: tuple(c for c in self.conditions[name] if parents((c,)) <= known)
            for name in self.params
            if name in self.conditions
        }
        graph = {name: parents(found) for name, found in judged.items() if found}
        order = TopologicalSorter(graph).static_order()
        return {name: judged[name] for name in order if name in graph}

    @cached_property
    def branches(self) -> list[dict[str, Domain]]:
        """The parts of the space in which the same parameters have an effect, as domains."""
        return branches(self.params, self.fixed, self.conditional)

    @cached_property
    def size(self) -> float:
        """The number of configurations, without regard to the rules."""
        return sum(math.prod(d.size for d in branch.values()) for branch in self.branches)

    def effective(
        self, params: Mapping[str, Value], rng: random.Random | None = None
    ) -> dict[str, Value]:
        """`params` without what has no effect; with `rng`, what has one and is missing is drawn.

        Two configurations train alike if and only if these are equal.
        """
        found = dict(params)
        if not self.conditional:
            return found
        known = {**self.fixed, **params}
        for name, conditions in self.conditional.items():
            if not all(condition.holds(known) for condition in conditions):
                found.pop(name, None)
                known.pop(name, None)
            elif rng is not None and name not in found:
                found[name] = known[name] = self.params[name].draw(rng)
        return found

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

    def draw(
        self, rng: random.Random, given: Mapping[str, Value] | None = None
    ) -> dict[str, Value]:
        """A random value for whatever has an effect, and the constants; rules are not checked.

        What is `given` is taken as it is.
        """
        drawn = {name: domain.draw(rng) for name, domain in self.params.items()}
        return self.effective({**self.fixed, **drawn, **(given or {})})

    def outside(self, params: Mapping[str, Value]) -> list[str]:
        """Which values of `params` lie outside their domains, are missing or are not searched.

        What has no effect is not looked at.
        """
        asked = self.effective(params, random.Random(0)).keys()  # drawn where it is missing
        wrong = [
            f"{name}={params[name]} is not {domain}"
            for name, domain in self.params.items()
            if name in params and name in asked and not domain.contains(params[name])
        ]
        wrong += [
            f"{name} is missing"
            for name in self.params
            if name not in params and (name in asked or name not in self.conditional)
        ]
        wrong += [f"{name} is not searched" for name in params if name not in self.params]
        return wrong

    def fix(self, values: Mapping[str, Value]) -> "Space":
        """This space with `values` held constant. `patch` and `grid` exclude each other."""
        rest = self._without(values)
        return replace(rest, fixed={**rest.fixed, **values})

    def search(self, domains: Mapping[str, Domain]) -> "Space":
        """This space with `domains` searched, in the place of what it has; others stay."""
        rest = self._without(name for name in domains if name not in self.params)
        return replace(rest, params={**rest.params, **domains})

    def _without(self, names: Iterable[str]) -> "Space":
        """This space without these parameters, and without what excludes them."""
        given, rules = set(names), self.rules
        dropped = set(given)
        for kept, other in (("patch", "grid"), ("grid", "patch")):
            if kept in given:
                dropped.add(other)
                same: dict[Rule, Rule] = {Divides(other, "image_size"): Divides(kept, "image_size")}
                rules = tuple(same.get(rule, rule) for rule in rules)
        return replace(
            self,
            params={name: domain for name, domain in self.params.items() if name not in dropped},
            fixed={name: value for name, value in self.fixed.items() if name not in dropped},
            rules=rules,
        )


def nearest(given: str, known: list[str]) -> str:
    """`; did you mean 'x'?` for the known name nearest to `given`, or an empty string."""
    close = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
