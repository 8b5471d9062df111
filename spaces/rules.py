"""Rules for the parameters of a configuration and the quantities that depend on the image size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from spaces.point import Value


class Rule(Protocol):
    """A condition that quantities must satisfy; `str` says it in words."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def holds(self, quantities: Mapping[str, Value]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Divides:
    """`divisor`, a number or the name of a quantity, must divide the quantity `dividend`."""

    divisor: str | int
    dividend: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.divisor, self.dividend) if isinstance(name, str))

    def holds(self, quantities: Mapping[str, Value]) -> bool:
        divisor = self.divisor if isinstance(self.divisor, int) else quantities[self.divisor]
        return int(quantities[self.dividend]) % int(divisor) == 0

    def __str__(self) -> str:
        return f"{self.divisor} divides {self.dividend}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """`name` must be at most `bound`; both are names of quantities."""

    name: str
    bound: str

    @property
    def names(self) -> tuple[str, str]:
        return self.name, self.bound

    def holds(self, quantities: Mapping[str, Value]) -> bool:
        return quantities[self.name] <= quantities[self.bound]  # type: ignore[operator]

    def __str__(self) -> str:
        return f"{self.name} is at most {self.bound}"


@dataclass(frozen=True, slots=True)
class PatchDivides:
    """The patch, `image_size` over `grid`, must divide the quantity `dividend`."""

    dividend: str

    @property
    def names(self) -> tuple[str, ...]:
        return "grid", "image_size", self.dividend

    def holds(self, quantities: Mapping[str, Value]) -> bool:
        patch = int(quantities["image_size"]) // int(quantities["grid"])
        return patch > 0 and int(quantities[self.dividend]) % patch == 0

    def __str__(self) -> str:
        return f"image_size over grid divides {self.dividend}"
