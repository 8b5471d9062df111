"""When a parameter has an effect: conditions on the values of other parameters, its parents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from spaces.point import Value


class Condition(Protocol):
    """What must hold for a parameter to have an effect; `str` says it in words."""

    @property
    def parts(self) -> "tuple[OnParent, ...]":
        """What is asked of single parents."""
        ...

    def holds(self, known: Mapping[str, Value]) -> bool:
        """Whether it holds; `known` lacks a parent that has no effect itself."""
        ...


@dataclass(frozen=True, slots=True)
class OnParent:
    """The parent `name` has an effect, and its value is admitted: by `In` or `NotIn`."""

    name: str
    values: tuple[Value, ...]

    def __post_init__(self):
        if not isinstance(cast(object, self.values), tuple):
            raise ValueError(f"a condition names a tuple of values, given {self.values!r}")

    @property
    def parts(self) -> "tuple[OnParent, ...]":
        return (self,)

    def admits(self, value: Value) -> bool:
        """Whether this value of the parent lets the parameter have an effect."""
        raise NotImplementedError

    def holds(self, known: Mapping[str, Value]) -> bool:
        return self.name in known and self.admits(known[self.name])


@dataclass(frozen=True, slots=True)
class In(OnParent):
    """The parent `name` has an effect, and one of `values`."""

    def admits(self, value: Value) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return f"{self.name} is {_listed(self.values)}"


@dataclass(frozen=True, slots=True)
class NotIn(OnParent):
    """The parent `name` has an effect, and none of `values`."""

    def admits(self, value: Value) -> bool:
        return value not in self.values

    def __str__(self) -> str:
        return f"{self.name} is not {_listed(self.values)}"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of `conditions` holds."""

    conditions: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[OnParent, ...]:
        return tuple(part for condition in self.conditions for part in condition.parts)

    def holds(self, known: Mapping[str, Value]) -> bool:
        return any(condition.holds(known) for condition in self.conditions)

    def __str__(self) -> str:
        return " or ".join(map(str, self.conditions))


def _listed(values: tuple[Value, ...]) -> str:
    return " or ".join(map(str, values))


def parents(conditions: tuple[Condition, ...]) -> set[str]:
    """The names of the parameters that they ask about."""
    return {part.name for condition in conditions for part in condition.parts}
