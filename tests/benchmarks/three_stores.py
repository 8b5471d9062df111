"""What a sweep's study, folders and MLflow hold, read with `sqlite3` and `json` alone.

Nothing of the project is imported: this is a second opinion on what `search.verify` compares.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Curve = dict[int, float]  # by epoch
_SCORE, _BEST = "valid_top1", "best_valid_top1"
# of a trial's state in the study: Optuna's, MLflow's, and whether its folder ends with it
_STATES = {
    "complete": ("COMPLETE", "FINISHED", True),
    "paused": ("RUNNING", "SCHEDULED", False),
    "stopped": ("PRUNED", "KILLED", False),
    "failed": ("FAIL", "FAILED", True),
    "infeasible": ("PRUNED", "KILLED", True),
    "running": ("RUNNING", "RUNNING", False),
}
_PLACES = ("data",)  # a trial's data set is a folder in one store and a name in another


@dataclass
class Trial:
    """One trial as one store has it; what the store does not hold is empty."""

    state: str = ""
    native: str = ""  # the state by the store's own name
    params: dict[str, str] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    final: dict[str, float] = field(default_factory=dict)
    begun: Counter[int] = field(default_factory=Counter)  # how often an epoch was begun
    opened: int = 0
    parent: str = ""


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def of_study(file: Path) -> dict[str, Trial]:
    """The trials that the study accepted, by key."""
    attributes: dict[int, dict[str, Any]] = {}
    for trial, name, text in rows(
        file, "SELECT trial_id, key, value_json FROM trial_user_attributes"
    ):
        attributes.setdefault(trial, {})[name] = json.loads(text)
    found = {}
    for trial, native in rows(file, "SELECT trial_id, state FROM trials"):
        known = attributes.get(trial, {})
        if known.get("trained"):
            params = {name: str(value) for name, value in known["params"].items()}
            state = known.get("state", "running")
            found[trial] = known["trial_key"], Trial(state, native, params, {_SCORE: {}})
    values = "SELECT trial_id, step, intermediate_value FROM trial_intermediate_values"
    for trial, step, value in rows(file, values):
        if trial in found:
            found[trial][1].curves[_SCORE][step] = value
    for trial, value in rows(file, "SELECT trial_id, value FROM trial_values"):
        if trial in found:
            found[trial][1].final[_BEST] = value
    return dict(found.values())


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    for text in file.read_bytes().split(b"\n")[:-1] if file.exists() else []:
        try:
            yield json.loads(text)
        except ValueError:  # damaged on purpose
            continue


def of_folders(folder: Path) -> dict[str, Trial]:
    """The trials that have a folder, by key."""
    found = {}
    for path in folder.iterdir() if folder.is_dir() else []:
        config = path / "config.json"
        flat = json.loads(config.read_text()) if config.exists() else {}
        trial = Trial(params={name: str(value) for name, value in flat.items()})
        for line in _lines(path / "metrics.jsonl"):
            trial.state = line.get("state") or "running"
            epoch, ended = line["epoch"], line.get("state") == "complete"
            for name, value in line.items():
                of_the_end = name.startswith(("test_", "best_"))
                if of_the_end and ended:
                    trial.final[name] = value
                elif isinstance(value, float) and name != "ended_unix_s" and not of_the_end:
                    trial.curves.setdefault(name, {})[epoch] = value
        for line in _lines(path / "attempts.jsonl"):
            trial.opened += line["event"] == "open"
            trial.begun.update([line["epoch"]] if line["event"] == "epoch" else [])
        found[path.name] = trial
    return found


def of_mlflow(file: Path, sweep: str) -> tuple[dict[str, list[Trial]], list[tuple[str, str]]]:
    """The runs of the sweep's trials by key, and id and status of the runs of the sweep itself."""
    alive = (
        "SELECT r.run_uuid, r.status FROM runs r JOIN experiments e USING (experiment_id) "
        "WHERE r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'"
    )
    status: dict[str, str] = dict(rows(file, alive))
    tags: dict[str, dict[str, str]] = {run: {} for run in status}
    for run, name, value in rows(file, "SELECT run_uuid, key, value FROM tags"):
        if run in tags:
            tags[run][name] = value
    runs, found, parents = {}, {}, []
    for run, known in tags.items():
        if known.get("sweep") == sweep and known.get("kind") == "trial":
            runs[run] = Trial(
                known.get("state", ""), status[run], parent=known.get("mlflow.parentRunId", "")
            )
            found.setdefault(known["trial_key"], []).append(runs[run])
        elif known.get("sweep") == sweep and known.get("kind") == "sweep":
            parents.append((run, status[run]))
    for run, name, value in rows(file, "SELECT run_uuid, key, value FROM params"):
        if run in runs:
            runs[run].params[name] = value
    for run, name, step, value in rows(file, "SELECT run_uuid, key, step, value FROM metrics"):
        if run in runs and step:
            runs[run].curves.setdefault(name, {})[step] = value
        elif run in runs:
            runs[run].final[name] = value
    return found, parents


def differences(home: Path, sweep: str, damaged: set[tuple[str, int]]) -> list[str]:
    """Where the three say otherwise; epochs that were `damaged` in folders on purpose may miss."""
    study, folders = of_study(home / sweep / "study.db"), of_folders(home / sweep / "trials")
    runs, parents = of_mlflow(home / "mlflow.db", sweep)
    wrong = [] if len(parents) == 1 else [f"{len(parents)} runs of the sweep itself"]
    wrong += [f"the sweep's run is {status}" for _, status in parents if status != "FINISHED"]
    for key in sorted(study.keys() | folders.keys() | runs.keys()):
        places = (key in study, key in folders, len(runs.get(key, [])))
        if places != (True, True, 1):
            wrong.append(f"{key}: study, folders, runs have it {tuple(map(int, places))} times")
            continue
        missing = {epoch for trial, epoch in damaged if trial == key}
        here, there, run = study[key], folders[key], runs[key][0]
        wrong += [f"{key}: {text}" for text in _of_one(here, there, run, missing)]
        if parents and run.parent != parents[0][0]:
            wrong.append(f"{key}: its run is beneath another")
    configurations = Counter(str(sorted(trial.params.items())) for trial in study.values())
    return wrong + [f"trained {n} times: {c}" for c, n in configurations.items() if n > 1]


def _of_one(study: Trial, folder: Trial, run: Trial, missing: set[int]) -> Iterator[str]:
    """What the three say otherwise of one trial, but for `missing` epochs of its folder."""
    native, status, told = _STATES[study.state]
    if (study.native, run.native, run.state) != (native, status, study.state):
        yield f"states: {study.state}, {study.native}, {run.native}, {run.state}"
    if folder.state != (study.state if told else "running") and not missing:
        yield f"{study.state} in the study, {folder.state} in its folder"
    for name, value in study.params.items():
        if not value == folder.params.get(name) == run.params.get(name) and name not in _PLACES:
            yield f"{name}: {value}, {folder.params.get(name)}, {run.params.get(name)}"
    for name in sorted(study.curves.keys() | folder.curves.keys() | run.curves.keys()):
        curves = [_without(trial.curves.get(name, {}), missing) for trial in (folder, run)]
        if name == _SCORE:
            curves.append(_without(study.curves[_SCORE], missing))
        if any(curve != curves[0] for curve in curves):
            yield f"{name} of the epochs: {curves}"
    epochs = sorted(study.curves[_SCORE].keys() | missing)
    if epochs != list(range(1, len(epochs) + 1)):
        yield f"epochs {epochs}"
    for name, value in folder.final.items():
        if run.final.get(name) != value:
            yield f"{name}: {value} in its folder, {run.final.get(name)} in MLflow"
    if study.state == "complete" and study.final.get(_BEST) != run.final.get(_BEST):
        yield f"{_BEST}: {study.final.get(_BEST)} in the study, {run.final.get(_BEST)} in MLflow"
    repeated = sum(folder.begun.values()) - len(folder.begun)
    if repeated > max(0, folder.opened - 1):
        yield f"{repeated} epochs were trained again in {folder.opened - 1} restarts"


def _without(curve: Curve, missing: set[int]) -> Curve:
    return {epoch: value for epoch, value in curve.items() if epoch not in missing}
