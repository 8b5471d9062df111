"""Trials that a study has lost, taken back from their folders.

A study that was put in place of a damaged one may be older than the folders, or empty. What a
folder holds is never trained again: a trial that has ended is in the study as it ended, any other
as one that was interrupted. The sweep goes on with those first; that says what is in the folder
once more, and trains only what is not.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial

from search.ledger import CURVE
from search.plan import Plan
from search.record import ACCEPTED, Record, State, config_hash, told_of
from search.samplers import Quantity
from search.sampling import OUTCOMES, distribution
from search.sweep_folder import SweepFolder
from trainables import checkpoint, trial_log
from trainables.errors import BadRequestError
from trainables.trial_log import Line

_KEY = re.compile(r"(\d{5,})-([0-9a-f]{8})")
_FREE = ("data",)  # a place, which may have moved


def adopt(
    study: optuna.Study, plan: Plan, folder: SweepFolder, known: Mapping[str, Quantity]
) -> list[str]:
    """Tell `study` of every trial that has a folder and that it does not know; returns their keys.

    `known` are the objectives that need no training.

    Raises:
        BadRequestError: One was not trained as `plan` says; `study` was told nothing.
    """
    trials = study.get_trials(deepcopy=False)
    told = {trial.user_attrs.get("trial_key") for trial in trials}
    lost = sorted(key for key in folder.trained_keys() - told if _KEY.fullmatch(key))
    found = [_record(key, plan, folder) for key in lost]
    originals = {
        config_hash(t.user_attrs["params"]): t.user_attrs["trial_key"]
        for t in trials
        if "params" in t.user_attrs and "repeat" not in t.user_attrs
    }
    originals |= {config_hash(r.params): r.key for r in found if r.seed is None}
    domains = plan.searched.params
    for record in found:
        key, params = record.key, record.params
        for _ in range(len(study.get_trials(deepcopy=False)), int(key.partition("-")[0])):
            study.add_trial(create_trial(state=TrialState.FAIL))  # suggestions that had no folder
        record.repeat_of = "" if record.seed is None else originals.get(config_hash(params), key)
        record.known = {name: quantity(params) for name, quantity in known.items()}
        study.add_trial(
            create_trial(
                params={name: params[name] for name in domains if name in params},
                distributions={n: distribution(d) for n, d in domains.items() if n in params},
                **_outcome(
                    record,
                    trial_log.read(folder.trial(key).metrics),
                    plan,
                    can_go_on=bool(checkpoint.commits(folder.trial(key).checkpoints)),
                ),
            )
        )
    return lost


def _outcome(record: Record, lines: list[Line], plan: Plan, *, can_go_on: bool) -> dict[str, Any]:
    """State, values and attributes of a trial with these lines, as `create_trial` takes them.

    One that has not ended is interrupted if it `can_go_on` from a commit, else it was stopped: that
    removes its commits.
    """
    last, learned = lines[-1] if lines else Line(epoch=0), plan.learned
    for line in lines:
        if all(name in line.metrics for name in learned):
            record.curve[line.epoch] = tuple(line.metrics[name] for name in learned)
    attributes: dict[str, Any] = {"params": record.params, ACCEPTED: True}
    if record.seed is not None:
        attributes["repeat"] = {"of": record.repeat_of, "seed": record.seed}
    attributes |= {"trial_key": record.key} | ({"known": record.known} if record.known else {})
    told: dict[str, Any] = {"user_attrs": attributes}
    if len(learned) > 1:
        attributes[CURVE] = {epoch: list(values) for epoch, values in record.curve.items()}
    else:
        told["intermediate_values"] = {epoch: value for epoch, (value,) in record.curve.items()}
    if last.state is None and (can_go_on or not lines):
        return told | {"state": TrialState.RUNNING}
    state, reason = State.STOPPED, f"stopped after epoch {last.epoch}, by its folder"
    if last.state is not None:
        state, reason = State(last.state), last.reason
    attributes |= {"state": state.value, "reason": reason}
    if state == State.COMPLETE:
        values = told_of(record, last.metrics, learned)
        told["values"] = attributes["values"] = [values[name] for name in plan.objectives]
    return told | {"state": OUTCOMES[state]}


def _record(key: str, plan: Plan, folder: SweepFolder) -> Record:
    """The trial `key` as it began, by the configuration in its folder.

    That says more than the trial was asked: what has no effect. In earlier versions it was asked
    that, too, and the trial's key says so.
    """
    file = folder.trial(key).config
    try:
        flat = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadRequestError(
            [f"{file} cannot be read ({error}); remove the trial's folder"]
        ) from None
    names = [*plan.searched.params, *plan.searched.fixed]
    space, found = plan.searched, {name: flat[name] for name in names if name in flat}
    record = Record(int(key.partition("-")[0]), key, space.effective(found), State.RUNNING)
    if flat.get("seed") in range(plan.seed + 1, plan.seed + plan.repeats):
        record.seed = flat.pop("seed")
    wrong = foreign(flat, plan)
    wrong += [f"{n} is missing" for n in names if n not in flat and n not in space.conditional]
    if record.hash[:8] != key.partition("-")[2]:
        record.params = found
    if not wrong and record.hash[:8] != key.partition("-")[2]:
        wrong = ["its parameters are not those of its key"]
    if wrong:
        hint = "give the settings that it was trained with, or another --name"
        raise BadRequestError([f"{file.parent}: {'; '.join(wrong)}; {hint}"])
    return record


def foreign(flat: dict[str, Any], plan: Plan) -> list[str]:
    """What a trial's configuration has otherwise than all trials of `plan` have it."""
    wanted = plan.flat(plan.searched.fixed)
    return [
        f"{name}: was {flat[name]!r}, now {wanted[name]!r}"
        for name in wanted
        if name not in _FREE and name in flat and flat[name] != wanted[name]
    ]
