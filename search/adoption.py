"""Trials that a study has lost, taken back from their folders.

A study that was put in place of a damaged one may be older than the folders, or empty. What a
folder holds is never trained again: a trial that has ended is in the study as it ended, any other
as one that was interrupted. The sweep goes on with those first; that says what is in the folder
once more, and trains only what is not.
"""

import json
import re
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial

from search.plan import OBJECTIVE, Plan
from search.record import ACCEPTED, State, config_hash
from search.sampling import OUTCOMES, distribution
from search.sweep_folder import SweepFolder
from trainables import checkpoint, trial_log
from trainables.errors import BadRequestError
from trainables.trial_log import Line

_KEY = re.compile(r"(\d{5,})-([0-9a-f]{8})")
_FREE = ("data",)  # a place, which may have moved


def adopt(study: optuna.Study, plan: Plan, folder: SweepFolder) -> list[str]:
    """Tell `study` of every trial that has a folder and that it does not know; returns their keys.

    Raises:
        BadRequestError: One was not trained as `plan` says; `study` was told nothing.
    """
    trials = study.get_trials(deepcopy=False)
    known = {trial.user_attrs.get("trial_key") for trial in trials}
    lost = sorted(key for key in folder.trained_keys() - known if _KEY.fullmatch(key))
    found = {key: _params(key, plan, folder) for key in lost}
    domains = plan.searched.params
    for key, params in found.items():
        for _ in range(len(study.get_trials(deepcopy=False)), int(key.partition("-")[0])):
            study.add_trial(create_trial(state=TrialState.FAIL))  # suggestions that had no folder
        lines = trial_log.read(folder.trial(key).metrics)
        study.add_trial(
            create_trial(
                params={name: params[name] for name in domains if name in params},
                distributions={n: distribution(d) for n, d in domains.items() if n in params},
                **_outcome(
                    lines,
                    {"params": params, ACCEPTED: True, "trial_key": key},
                    can_go_on=bool(checkpoint.commits(folder.trial(key).checkpoints)),
                ),
            )
        )
    return lost


def _outcome(lines: list[Line], attributes: dict[str, Any], *, can_go_on: bool) -> dict[str, Any]:
    """State, values and attributes of a trial with these lines, as `create_trial` takes them.

    One that has not ended is interrupted if it `can_go_on` from a commit, else it was stopped: that
    removes its commits.
    """
    last = lines[-1] if lines else Line(epoch=0)
    (objective,) = OBJECTIVE
    scores = {line.epoch: line.metrics[objective] for line in lines if objective in line.metrics}
    told: dict[str, Any] = {"user_attrs": attributes, "intermediate_values": scores}
    if last.state is None and (can_go_on or not lines):
        return told | {"state": TrialState.RUNNING}
    state, reason = State.STOPPED, f"stopped after epoch {last.epoch}, by its folder"
    if last.state is not None:
        state, reason = State(last.state), last.reason
    attributes |= {"state": state.value, "reason": reason}
    if state == State.COMPLETE:
        told["values"] = attributes["values"] = [last.metrics[f"best_{objective}"]]
    return told | {"state": OUTCOMES[state]}


def _params(key: str, plan: Plan, folder: SweepFolder) -> dict[str, Any]:
    """The parameters of the trial `key`, out of the configuration in its folder.

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
    ways = [space.effective(found), found]
    params = next((way for way in ways if config_hash(way)[:8] == key.partition("-")[2]), None)
    wrong = foreign(flat, plan)
    wrong += [f"{n} is missing" for n in names if n not in flat and n not in space.conditional]
    if not wrong and params is None:
        wrong = ["its parameters are not those of its key"]
    if wrong or params is None:
        hint = "give the settings that it was trained with, or another --name"
        raise BadRequestError([f"{file.parent}: {'; '.join(wrong)}; {hint}"])
    return params


def foreign(flat: dict[str, Any], plan: Plan) -> list[str]:
    """What a trial's configuration has otherwise than all trials of `plan` have it."""
    wanted = plan.flat(plan.searched.fixed)
    return [
        f"{name}: was {flat[name]!r}, now {wanted[name]!r}"
        for name in wanted
        if name not in _FREE and name in flat and flat[name] != wanted[name]
    ]
