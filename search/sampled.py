"""Configurations of a plan: which share may be trained, and what the first ones take."""

import math
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from search.costs import counts
from search.feasibility import Feasibility
from search.footprint import Counter, Footprint, footprint
from search.objectives import COUNTED
from search.opening import study_of
from search.plan import Plan
from search.published import points
from search.quantities import quantities
from search.samplers import Quantity
from search.sampling import create
from spaces.space import Value

_DRAWS = 2000  # to see which keep the rules: that takes microseconds
_COUNTED, _SECONDS = 60, 10.0  # of what keeps the rules
_PATIENCE_SECONDS = 20.0  # for a sampler that hardly finds anything within the limits
_FIRST, _PUBLISHED = 8, 2  # configurations that the sweep would begin with
_Z = 1.96  # standard deviations: 95 % of a normal distribution


@dataclass(frozen=True, slots=True)
class Share:
    """How many of `of` random draws `are` so."""

    are: int
    of: int

    def interval(self) -> tuple[float, float]:
        """The share's 95 % interval after Wilson (1927), which holds near 0 and 1, too."""
        if not self.of:
            return 0.0, 1.0
        share, spread = self.are / self.of, _Z**2 / self.of
        middle = (share + spread / 2) / (1 + spread)
        half = _Z * math.sqrt(share * (1 - share) / self.of + spread / self.of / 4) / (1 + spread)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        if not self.of:
            return "an unknown share: nothing was drawn of which it could be told"
        low, high = self.interval()
        found = f"{self.are} of {self.of} random draws, {100 * self.are / self.of:.3g} %"
        return f"{found} (95 % interval {100 * low:.3g} to {100 * high:.3g} %)"


class _TooLong(Exception):  # noqa: N818 - it is no error
    """The sampler has looked for long."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was found of a plan's configurations.

    Attributes:
        rules: which share of random draws keeps the rules.
        limits: which share of those keeps the limits on what can be counted.
        footprints: what some of those take that the sweep would begin with.
    """

    rules: Share
    limits: Share
    footprints: list[Footprint]


def sample(plan: Plan) -> Sample:
    """Draw configurations of `plan`, and ask its sampler for the first ones; makes nothing."""
    feasibility = Feasibility(plan.searched, plan.image_size)
    rng = random.Random(f"{plan.seed} dry run")
    drawn = [plan.searched.draw(rng) for _ in range(_DRAWS)]
    sound = [params for params in drawn if feasibility.holds(params)]
    count, counted = counts(plan), {n: plan.limits[n] for n in COUNTED if n in plan.limits}
    plan = replace(plan, objectives=plan.learned, limits=counted)
    limits = _kept(plan, sound, count) if counted else Share(0, 0)
    return Sample(Share(len(sound), len(drawn)), limits, list(_footprints(plan, count)))


def _kept(plan: Plan, sound: list[dict[str, Value]], count: Counter) -> Share:
    """Which of them keep the limits: as many as time allows."""
    kept = looked_at = 0
    began = time.monotonic()
    for params in sound[:_COUNTED]:
        if looked_at and time.monotonic() - began > _SECONDS:
            break
        try:
            found = count(params)
        except ValueError:  # it cannot be built
            continue
        keeps = all(getattr(found, name) <= limit for name, limit in plan.limits.items())
        kept, looked_at = kept + keeps, looked_at + 1
    return Share(kept, looked_at)


def _footprints(plan: Plan, count: Counter) -> Iterator[Footprint]:
    """Of the configurations that the sweep would begin with, few published ones among them."""
    end = time.monotonic() + _PATIENCE_SECONDS

    def patient(quantity: Quantity, params: dict[str, Value]) -> float:
        if time.monotonic() > end:
            raise _TooLong
        return quantity(params)

    known = quantities(plan, None)
    limits = {name: (partial(patient, q), most) for name, (q, most) in known.constraints.items()}
    first = replace(
        plan,
        trials=min(_FIRST, plan.trials or _FIRST),
        total_epochs=None,
        target=None,
        repeats=1,
        until_settled=False,
    )
    study = study_of(
        create("dry run", plan.directions, None), first, replace(known, constraints=limits)
    )
    study.enqueue(points(plan), min(_PUBLISHED, plan.published))
    with suppress(_TooLong):
        while (record := study.next()) is not None:
            try:
                found = footprint(plan, record.params, count)
            except ValueError:  # it would fail when it is trained, too
                continue
            yield found
