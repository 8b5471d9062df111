"""From MLflow to two tidy tables: one row per trial, and one row per epoch of a trial.

It reads what `search` writes by `reports.mlflow_contract`.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from reports.mlflow_contract import (
    EARLIER_STATES,
    SCALARS,
    STATE,
    Kind,
    Tag,
    address,
    all_pages,
    is_server,
    runs_of,
    sqlite_file,
    sweep_id,
)
from spaces.space import nearest
from trainables.errors import BadRequestError
from trainables.home import Home
from trainables.metrics import EPOCH

STORAGE_ERRORS = (OSError, MlflowException, SQLAlchemyError)

# the tags of a trial that become columns of the same names
TAGS = (
    Tag.CONFIG_HASH,
    Tag.REASON,
    Tag.PUBLISHED,
    Tag.REPEAT_OF,
    Tag.TIE,
    Tag.GIT_SHA,
    Tag.DATA_SHA256,
    Tag.TRAINING_TIME_REASON,
    Tag.EFFICIENCY_DEVICE,
    Tag.EFFICIENCY_REASON,
    Tag.EFFICIENCY_OTHER_LOAD,
)
_READERS: tuple[tuple[Callable[[str], Any], pa.DataType], ...] = (
    ({"True": True, "False": False}.__getitem__, pa.bool_()),
    (int, pa.int64()),
    (float, pa.float64()),
)
_LISTED = 20


class Client(Protocol):
    """What is read of MLflow's client, whose own types are incomplete."""

    @property
    def tracking_uri(self) -> str: ...
    def search_experiments(self, *, page_token: str | None) -> Any: ...
    def get_metric_history(self, run_id: str, key: str) -> list[Metric]: ...


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep's parent run; `namesakes` counts older parent runs of the same name."""

    name: str
    variant: str
    run_id: str
    experiment_id: str
    started: datetime
    tags: Mapping[str, str]
    params: Mapping[str, str]
    namesakes: int = 0

    @property
    def images(self) -> str:
        """What it trains on, as `digits at 56 px`."""
        data, size = self.tags.get(Tag.DATA, "unnamed data"), self.tags.get(Tag.IMAGE_SIZE, "?")
        return f"{data} at {size} px"


def connect(home: Home, tracking_uri: str | None = None) -> Client:
    """A client of `tracking_uri`, else of MLFLOW_TRACKING_URI, else of `<home>/mlflow.db`.

    Raises:
        BadRequestError: the SQLite file does not exist (MLflow would make an empty one).
    """
    uri = tracking_uri or address(home)
    file = sqlite_file(uri)
    if file and not file.is_file():
        said = f"no MLflow database at {file}; run a sweep first (python -m search.run linformer)"
        hint = "or name its folder with --home or its server with MLFLOW_TRACKING_URI"
        raise BadRequestError([f"{said}, {hint}"])
    return MlflowClient(uri)


def sweeps(client: Client) -> list[Sweep]:
    """Every sweep of the store, the newest first."""
    experiments = all_pages(lambda token: client.search_experiments(page_token=token))
    ids = [found.experiment_id for found in experiments]
    runs: list[Run] = runs_of(client, ids, {Tag.KIND: Kind.SWEEP})
    return [
        Sweep(
            name=run.data.tags[Tag.SWEEP],
            variant=run.data.tags[Tag.VARIANT],
            run_id=run.info.run_id,
            experiment_id=run.info.experiment_id,
            started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
            tags=_tags(run),
            params=run.data.params,
        )
        for run in reversed(runs)
    ]


def find(client: Client, names: Sequence[str] = (), home: Home | None = None) -> list[Sweep]:
    """The sweeps called `names`; without names, the newest sweep.

    Where several parent runs have the same name, that of the sweep in `home` counts, else the
    newest.

    Raises:
        BadRequestError: there is no sweep at all, or none of some name. The message suggests the
            nearest name and lists the sweeps that exist.
    """
    known = sweeps(client)
    if not known:
        said = "MLflow holds no sweep yet; start one with python -m search.run linformer"
        raise BadRequestError([f"{said}, or name another folder with --home"])
    listed = list(dict.fromkeys(sweep.name for sweep in known))
    unknown = [name for name in names if name not in listed]
    if unknown:
        older = f" and {len(listed) - _LISTED} older ones" if len(listed) > _LISTED else ""
        there = f"sweeps, newest first: {', '.join(listed[:_LISTED])}{older}"
        mistakes = [f"unknown sweep {name!r}{nearest(name, listed)}" for name in unknown]
        raise BadRequestError([*mistakes[:-1], f"{mistakes[-1]} ({there})"])
    same = [[sweep for sweep in known if sweep.name == name] for name in names or listed[:1]]
    if home is not None:
        same = [_at_home(twins, sweep_id(home, twins[0].name)) for twins in same]
    return [replace(twins[0], namesakes=len(twins) - 1) for twins in same]


def _at_home(twins: list[Sweep], own: str) -> list[Sweep]:
    """Those with the id of a home's sweep; all if none has it."""
    return [twin for twin in twins if own and twin.tags.get(Tag.SWEEP_ID) == own] or twins


def tables(client: Client, sweep: Sweep) -> tuple[pa.Table, pa.Table]:
    """The trials of `sweep` in order of their start, and their curves.

    The columns of the trials are sweep, variant, trial_key, state, the `TAGS`, MLflow's run_id and
    status, last_epoch, epochs, every hyperparameter as `param.<name>` (a number or a truth value
    where all trials have one) and every metric of `SCALARS` under its name. Those of the curves
    are sweep, trial_key, run_id, epoch and every EPOCH metric. A missing value is null; NaN and
    infinity stay what they are.
    """
    mine = {Tag.PARENT: sweep.run_id, Tag.KIND: Kind.TRIAL}
    runs: list[Run] = runs_of(client, [sweep.experiment_id], mine)
    # A server answers requests side by side; SQLite in this process is faster one by one.
    with ThreadPoolExecutor(8 if is_server(client.tracking_uri) else 1) as pool:
        histories = list(pool.map(partial(_history, client), runs))
    return _trials(sweep, runs, histories), _curves(sweep, runs, histories)


def _trials(sweep: Sweep, runs: Sequence[Run], histories: Sequence[Mapping[int, Any]]) -> pa.Table:
    def texts(get: Callable[[Run], str | None]) -> pa.Array:
        return pa.array([get(run) for run in runs], pa.string())

    def numbers(name: str) -> pa.Array:
        return pa.array([_number(run.data.metrics.get(name)) for run in runs], pa.float64())

    columns: dict[str, pa.Array] = {
        "sweep": texts(lambda _: sweep.name),
        "variant": texts(lambda _: sweep.variant),
        "trial_key": texts(_trial_key),
        "state": texts(_state),
        **{name: texts(lambda run, name=name: _tags(run).get(name)) for name in TAGS},
        "run_id": texts(lambda run: run.info.run_id),
        "status": texts(lambda run: run.info.status),
        "last_epoch": pa.array([max(curve, default=None) for curve in histories], pa.int64()),
        "epochs": pa.array([len(curve) for curve in histories], pa.int64()),
    }
    for name in sorted({name for run in runs for name in run.data.params}):
        columns[f"param.{name}"] = _typed([run.data.params.get(name) for run in runs])
    return pa.table(columns | {name: numbers(name) for name in SCALARS})


def _curves(sweep: Sweep, runs: Sequence[Run], histories: Sequence[Mapping[int, Any]]) -> pa.Table:
    rows = [
        {"sweep": sweep.name, "trial_key": _trial_key(run), "run_id": run.info.run_id}
        | {"epoch": epoch, **curve[epoch]}
        for run, curve in zip(runs, histories, strict=True)
        for epoch in sorted(curve)
    ]
    keys = [(name, pa.string()) for name in ("sweep", "trial_key", "run_id")]
    metrics = [(name, pa.float64()) for name in EPOCH]
    return pa.Table.from_pylist(rows, pa.schema([*keys, ("epoch", pa.int64()), *metrics]))


def _history(client: Client, run: Run) -> dict[int, dict[str, float | None]]:
    """{epoch: {metric: value}}. Of a repeated epoch the last value counts: MLflow sorts by time."""
    curve: dict[int, dict[str, float | None]] = {}
    for name in EPOCH.keys() & run.data.metrics.keys():
        for metric in client.get_metric_history(run.info.run_id, name):
            curve.setdefault(metric.step, {})[name] = _number(metric.value)
    return curve


def _number(value: float | None) -> float | None:
    """`value`, where MLflow's SQL store wrote the largest float in place of infinity."""
    if value is not None and abs(value) == sys.float_info.max:
        return value * 2
    return value


def _tags(run: Run) -> dict[str, str]:
    """The tags of a run, without those whose value was unknown when they were written."""
    return {name: value for name, value in run.data.tags.items() if value != "None"}


def _trial_key(run: Run) -> str:
    return run.data.tags.get(Tag.TRIAL_KEY, run.info.run_id)


def _state(run: Run) -> str:
    found = run.data.tags.get(Tag.STATE) or STATE.get(run.info.status, "running")
    return EARLIER_STATES.get(found, found)


def _typed(texts: Sequence[str | None]) -> pa.Array:
    """A column of truth values, integers or floats if all texts can be read so, else of texts."""
    values = [None if text == "None" else text for text in texts]
    if any(value is not None for value in values):
        for read, kind in _READERS:
            try:
                return pa.array([None if text is None else read(text) for text in values], kind)
            except (KeyError, ValueError, OverflowError):
                continue
    return pa.array(values, pa.string())
