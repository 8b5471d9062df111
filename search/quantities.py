"""What is known of a configuration before it trains: counted from its model, or measured once."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from search.costs import SECONDS, architecture_of, counts
from search.feasibility import Constraints
from search.measuring import Measuring
from search.objectives import COUNTED, MEASURED, better, shown
from search.plan import Plan
from search.samplers import Quantity, lessened
from spaces.space import Value
from trainables.efficiency.execution import Setting
from trainables.efficiency.repeats import measure_repeatedly
from trainables.efficiency.results import Results, Row
from trainables.errors import BadRequestError
from trainables.home import Home
from trainables.lock import exclusive

Params = dict[str, Value]
# how many configurations show how a quantity is spread, before the first suggestion
_COUNTED_FIRST, _MEASURED_FIRST = 16, 4
_SETTING = Setting()


@dataclass(frozen=True, slots=True)
class Quantities:
    """What `SweepStudy` takes of a plan's objectives and limits."""

    constraints: Constraints = field(default_factory=dict[str, tuple[Quantity, float]])
    known: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])
    costly: Mapping[str, int] = field(default_factory=dict[str, int])


class Measured:
    """Costs of architectures on this machine: from the home's table, else measured now.

    No more is measured than what is wanted.

    Meanwhile no epoch of this sweep runs: each holds the lock `quiet`. `tell` is given a line about
    each measurement.
    """

    def __init__(
        self, home: Home, plan: Plan, way: Measuring, quiet: Path, tell: Callable[[str], None]
    ):
        self._results, self._plan, self._way = Results(home.path), plan, way
        self._quiet, self._tell = quiet, tell
        self._wanted = plan.measured
        self._whole = way.conditions(SECONDS)  # as after a sweep
        self._conditions = replace(self._whole, metrics=self._wanted)

    def row(self, params: Params) -> Row:
        """The measurements of the architecture of a configuration."""
        subject = architecture_of(params, self._plan, self._plan.sweep)
        identity = self._conditions.of(subject, _SETTING)
        whole = self._whole.of(subject, _SETTING)
        if (row := self._results.get(identity) or self._results.get(whole)) is None:
            with exclusive(self._quiet):
                measure_repeatedly(
                    [subject],
                    self._results,
                    self._way.run,
                    self._conditions,
                    settings=(_SETTING,),
                    repeats=1,
                )
            row = self._results.get(identity)
            assert row is not None, "what was measured has a row"
            named = " ".join(f"{name}={value}" for name, value in subject.params.items())
            said = ", ".join(f"{n} {shown(n, row.get(n))}" for n in self._wanted)
            self._tell(f"measured {said} of {named}")
        return row

    def quantity(self, name: str) -> Quantity:
        """The metric as a function of a configuration; as bad as can be where there is none."""
        worst = -math.inf if better(name) == "max" else math.inf

        def value(params: Params) -> float:
            found = self.row(params).get(name)
            return worst if found is None else float(found)

        return value

    def refuse_missing(self, params: Params) -> None:
        """Raises BadRequestError if what is wanted cannot be measured here, with the reasons."""
        row = self.row(params)
        reasons = row["reasons"]
        wrong = [
            f"{name} cannot be measured here: {reasons.get(name) or reasons.get('everything', '')}"
            for name in self._wanted
            if row.get(name) is None
        ]
        if wrong:
            raise BadRequestError(wrong)


def quantities(plan: Plan, costs: Measured | None) -> Quantities:
    """The limits and the objectives of `plan` that need no training.

    `costs` are needed if any of them is measured. Limits are upper ones: what shall be large is
    turned. What cannot be measured of a configuration is as if it broke a limit.
    """
    of_model = counts(plan)

    def quantity(name: str) -> Quantity:
        if name in COUNTED:
            return lambda params: float(getattr(of_model(params), name))
        assert costs is not None, f"{name} has to be measured"
        return costs.quantity(name)

    known = {name: quantity(name) for name in plan.objectives if name not in plan.learned}
    constraints: dict[str, tuple[Quantity, float]] = {}
    for name in sorted({*known, *plan.limits}, key=lambda name: (name in MEASURED, name)):
        direction = better(name)  # what is counted comes first: what breaks it is not measured
        limit = plan.limits.get(name)
        if limit is not None:
            constraints[name] = (
                lessened(quantity(name), direction),
                -limit if direction == "max" else limit,
            )
        elif name in MEASURED:
            constraints[name] = (lessened(quantity(name), direction), sys.float_info.max)
    costly = {
        name: _COUNTED_FIRST if name in COUNTED else _MEASURED_FIRST
        for name in (*known, *constraints)
    }
    return Quantities(constraints, known, costly)
