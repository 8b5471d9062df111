"""What earlier sweeps are for a new one: their best is tried first, their curves are known."""

import random
from collections.abc import Iterator
from typing import Any

import optuna

from search.opening import EARLIER
from search.plan import Plan
from search.ranking import leaders
from search.reading import reopened
from search.record import Record, State
from search.samplers.posterior import levels
from spaces.space import Value
from trainables.home import Home

BEST = 5  # configurations of each earlier sweep
_POINTS = 80  # of the curves of all of them: a model's size is bounded


def found_best(plan: Plan, home: Home, database: str | None) -> dict[str, dict[str, Value]]:
    """The best complete trials of the sweeps that `plan` begins from, by their source.

    Of each what lies in the plan's space; what they say nothing of is drawn when they are tried.
    They may be of another variant, or other data.

    Raises:
        UserError: a sweep cannot be read.
    """
    space, found = plan.searched, dict[str, dict[str, Value]]()
    for name in plan.warm_start:
        earlier, study = reopened(home, name, database)
        complete = [r for r in study.accepted if r.state == State.COMPLETE and not r.repeat_of]
        for record in leaders(complete, earlier.directions, earlier.learned)[:BEST]:
            params = {
                name: value
                for name, value in record.params.items()
                if name in space.params and space.params[name].contains(value)
            }
            if params:
                found[f"{name}/{record.key}"] = params
    return found


def keep(stored: optuna.Study, plan: Plan, home: Home, database: str | None) -> str:
    """Note in a study that has no trial yet what its model shall know; returns that in words.

    So the sweep is what it was when the earlier ones go on, or are gone.

    Raises:
        UserError: a sweep cannot be read.
    """
    if not plan.warm_start or EARLIER in stored.user_attrs or stored.get_trials(deepcopy=False):
        return ""
    noted: list[dict[str, Any]] = []
    said: list[str] = []
    for name in plan.warm_start:
        trials = _curves(plan, name, home, database, _POINTS // len(plan.warm_start))
        noted += trials
        said.append(f"{len(trials)} trials of {name}")
    stored.set_user_attr(EARLIER, noted)
    return ", ".join(said)


def _curves(
    plan: Plan, name: str, home: Home, database: str | None, most: int
) -> list[dict[str, Any]]:
    """Trials of an earlier sweep, with at most so many points: those that went farthest first.

    Only those whose objectives are known, and whose configuration lies in the plan's space; what
    they say nothing of is drawn.
    """
    earlier, study = reopened(home, name, database)
    if not set(plan.learned) <= set(earlier.learned):
        return []
    columns = [earlier.learned.index(objective) for objective in plan.learned]
    found: list[dict[str, Any]] = []
    for record in _farthest(study.accepted, earlier):
        params = {n: v for n, v in record.params.items() if n in plan.searched.params}
        if not all(plan.searched.params[n].contains(value) for n, value in params.items()):
            continue
        curve = _points(record, earlier.epochs, columns)
        most -= len(curve)
        if most < 0:
            break
        whole = plan.searched.draw(random.Random(f"{name}/{record.key}"), params)
        found.append({"sweep": name, "params": whole, "curve": curve})
    return found


def _farthest(trials: list[Record], plan: Plan) -> Iterator[Record]:
    """Complete trials, the best first; then others, by their epochs."""
    begun = [record for record in trials if record.curve and not record.repeat_of]
    complete = [record for record in begun if record.state == State.COMPLETE]
    yield from leaders(complete, plan.directions, plan.learned)
    others = [record for record in begun if record.state in (State.STOPPED, State.PAUSED)]
    yield from sorted(others, key=lambda record: -record.epoch)


def _points(record: Record, epochs: int, columns: list[int]) -> dict[str, list[float]]:
    """The curve where models look at it, by the share of the full length; as JSON has it."""
    ends = {record.epoch: 1.0} if record.state == State.COMPLETE else {}
    shares = {e: e / epochs for e in levels(epochs) if e in record.curve} | ends
    return {
        str(share): [record.curve[epoch][column] for column in columns]
        for epoch, share in sorted(shares.items())
    }
