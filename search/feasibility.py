"""Whether a configuration is worth training, as far as that is known before."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from spaces.space import Space, Value
from trainables.metrics import CATALOGUE

Constraint = tuple[Callable[[dict[str, Value]], float], float]
Constraints = Mapping[str, Constraint]


@dataclass(frozen=True, slots=True)
class Feasibility:
    """A space's rules at `image_size` px, and limits on quantities known before training.

    Each of `constraints` is a function of the parameters with its upper limit.
    """

    space: Space
    image_size: int
    constraints: Constraints = field(default_factory=dict[str, Constraint])

    def excesses(self, params: dict[str, Value]) -> dict[str, tuple[float, str]]:
        """By how much each constraint is broken (above 0: it is), and how to say so."""
        broken = self.space.broken(params, self.image_size)
        found = {"rules": (float(len(broken)), "; ".join(broken))}
        if broken:  # what breaks a rule cannot be built, so it has no quantities
            return found
        for name, (quantity, limit) in self.constraints.items():
            value = quantity(params)
            found[name] = (value - limit, _said(name, value, limit))
        return found

    def holds(self, params: Mapping[str, Value]) -> bool:
        """Whether values of the searched parameters keep all rules and limits.

        Limits are looked at in their order, and those behind a broken one are not.
        """
        known = {**self.space.fixed, **params}
        if self.space.broken(known, self.image_size):
            return False
        return all(quantity(known) <= limit for quantity, limit in self.constraints.values())


def _said(name: str, value: float, limit: float) -> str:
    """How a limit is broken; a lower one was turned to be an upper one."""
    if math.isinf(value):
        return f"{name} cannot be measured"
    if name in CATALOGUE and CATALOGUE[name].better == "max":
        return f"{name} {-value:.4g} is below the limit {-limit:.4g}"
    return f"{name} {value:.4g} exceeds the limit {limit:.4g}"
