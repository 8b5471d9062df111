"""What earlier sweeps are for a new one: their best is tried first, their curves are known.

Both are noted in the new study when it begins, which so goes on the same when the earlier sweeps
change or are gone.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna

from search.opening import EARLIER
from search.plan import Plan
from search.ranking import leaders
from search.reading import reopened
from search.record import Record, State
from search.samplers import DEFAULT
from search.samplers.posterior import levels
from search.study import SweepStudy
from spaces.space import Value
from trainables.home import Home

BEST = 5  # configurations of each earlier sweep
POINTS = 80  # of the curves of all of them: a model's size is bounded
_NONE = "none of them has the same objectives and lies in the space"


def keep(stored: optuna.Study, plan: Plan, home: Home, database: str | None) -> list[str]:
    """Note what earlier sweeps are for a study that has no trial yet; returns that in words.

    They may be of another variant, or other data.

    Raises:
        UserError: a sweep cannot be read.
    """
    if not plan.warm_start or EARLIER in stored.user_attrs or stored.get_trials(deepcopy=False):
        return []
    best, trials, said = dict[str, dict[str, Value]](), list[dict[str, Any]](), list[str]()
    names = list(dict.fromkeys(plan.warm_start))
    for place, name in enumerate(names):
        earlier, study = reopened(home, name, database)
        first = _best(name, earlier, study, plan)
        said.append(f"{name}: its best {len(first)} configurations are tried first")
        best |= first
        if plan.sampler == DEFAULT:
            room = POINTS - sum(len(trial["curve"]) for trial in trials)
            known = list(_curves(name, earlier, study, plan, room // (len(names) - place)))
            trials += known
            why = "" if known else f", as {_NONE}"
            said[-1] += f", and {len(known)} of its trials are known to the search{why}"
    stored.set_user_attr(EARLIER, {"best": best, "trials": trials})
    return said


def tried_first(stored: optuna.Study) -> dict[str, dict[str, Value]]:
    """The noted configurations, by their source; what they say nothing of is drawn."""
    return stored.user_attrs.get(EARLIER, {}).get("best", {})


def _best(name: str, earlier: Plan, study: SweepStudy, plan: Plan) -> dict[str, dict[str, Value]]:
    """The best complete trials; of each what lies in the plan's space."""
    found: dict[str, dict[str, Value]] = {}
    for record in leaders(_complete(study), earlier.directions, earlier.learned)[:BEST]:
        inside, _ = _divided(record, plan)
        if inside:
            found[f"{name}/{record.key}"] = inside
    return found


def _curves(
    name: str, earlier: Plan, study: SweepStudy, plan: Plan, room: int
) -> Iterator[dict[str, Any]]:
    """Trials with at most so many points, those that went farthest first.

    Only those whose objectives are known, and whose configuration lies in the plan's space; what
    they say nothing of is drawn.
    """
    if not set(plan.learned) <= set(earlier.learned):
        return
    columns = [earlier.learned.index(objective) for objective in plan.learned]
    stored = study.stored()
    for record in _farthest(study, earlier):
        inside, outside = _divided(record, plan)
        curve = _points(record, earlier.epochs, columns)
        if record.state == State.COMPLETE:
            frozen = stored[record.key]
            values = frozen.values or frozen.user_attrs.get("values") or ()
            told = dict(zip(earlier.directions, values, strict=False))
            curve["1.0"] = [told[objective] for objective in plan.learned]
        if not inside or outside or not curve:
            continue
        room -= len(curve)
        if room < 0:
            return
        whole = plan.searched.draw(random.Random(f"{name}/{record.key}"), inside)
        yield {"sweep": name, "params": whole, "curve": curve}


def _divided(record: Record, plan: Plan) -> tuple[dict[str, Value], dict[str, Value]]:
    """The searched parameters of a trial that lie in the plan's space, and those outside it."""
    domains = plan.searched.params
    searched = {name: value for name, value in record.params.items() if name in domains}
    inside = {name: value for name, value in searched.items() if domains[name].contains(value)}
    return inside, {name: value for name, value in searched.items() if name not in inside}


def _complete(study: SweepStudy) -> list[Record]:
    return [r for r in study.accepted if r.state == State.COMPLETE and not r.repeat_of]


def _farthest(study: SweepStudy, plan: Plan) -> Iterator[Record]:
    """Complete trials, the best first; then others, by their epochs."""
    yield from leaders(_complete(study), plan.directions, plan.learned)
    begun = (r for r in study.accepted if r.state in (State.STOPPED, State.PAUSED))
    yield from sorted(begun, key=lambda record: -record.epoch)


def _points(record: Record, epochs: int, columns: Sequence[int]) -> dict[str, list[float]]:
    """The curve where models look at it, by the share of the full length; as JSON has it.

    The end of a complete trial is left out: what counts is what it was told to have reached.
    """
    curve: Mapping[int, tuple[float, ...]] = record.curve
    last = record.epoch if record.state == State.COMPLETE else None
    at = [epoch for epoch in levels(epochs) if epoch in curve and epoch != last]
    return {str(epoch / epochs): [curve[epoch][i] for i in columns] for epoch in at}
