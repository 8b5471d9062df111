"""What the tests of `search` share: plans, trials' folders, and a made-up sweep that is whole."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import optuna
import pytest
import torch

from search.mlflow_store import client_of
from search.opening import study_of
from search.plan import Plan
from search.projection import Projection
from search.quantities import Quantities
from search.record import Record, State
from search.sampling import create
from search.study import SweepStudy
from search.study_file import StudyFile
from search.sweep_folder import SweepFolder
from trainables import checkpoint, records
from trainables.home import Home

STARTED_UNIX_S = 1_700_000_000.25
HOLDER = """
import sys
from pathlib import Path
from search import lock
from search.sweep_folder import SweepFolder
with lock.held(SweepFolder(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEARCH_HOME", "SEARCH_DATABASE", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _plan(**changes) -> Plan:
    plan = {
        "sweep": "small",
        "variant": "linformer",
        "data": "/data/tiny",
        "data_name": "tiny",
        "data_sha256": "d" * 64,
        "num_classes": 3,
        "image_size": 56,
        "epochs": 3,
        "trials": 4,
        "patience": 10,
        "seed": 0,
        "published": 0,
        "settings": {"grid": 7},
        "sampler": "random",
        "pruner": "none",
    }
    return Plan(**(plan | changes))


@pytest.fixture
def make_plan() -> Callable[..., Plan]:
    """A small plan, with changes; its trials do not pause."""
    return _plan


def _epoch(epoch: int, valid_top1: float) -> dict:
    """A line of `metrics.jsonl` as `trainables.trial` writes it."""
    return {
        "epoch": epoch,
        "train_loss": 2.0 / epoch,
        "train_top1": valid_top1 - 0.0625,
        "valid_loss": 1.5 / epoch,
        "valid_top1": valid_top1,
        "valid_top5": 1.0,
        "valid_macro_recall": valid_top1,
        "valid_macro_f1": valid_top1,
        "lr": 0.001,
        "train_seconds": 1.5,
        "valid_seconds": 0.5,
        "train_images_per_s": 640.0,
        "done": False,
        "ended_unix_s": STARTED_UNIX_S + 10 * epoch,
    }


def _event(event: str, epoch: int) -> dict:
    """A line of `attempts.jsonl`."""
    at = datetime.fromtimestamp(STARTED_UNIX_S + 10 * epoch - 5, UTC)
    return {"at": at.isoformat(), "event": event, "epoch": epoch}


def _write_trial(folder: Path, accuracies: list[float], state: State = State.RUNNING) -> list[dict]:
    """A trial's folder after these epochs, ended as `state` says; returns its lines."""
    lines = [_epoch(epoch, value) for epoch, value in enumerate(accuracies, 1)]
    folder.mkdir(parents=True)
    if state == State.COMPLETE:
        best = max(lines, key=lambda line: line["valid_top1"])
        lines[-1] |= {"done": True, "state": "complete", "best_epoch": best["epoch"]}
        lines[-1] |= {"best_valid_top1": best["valid_top1"]}
        lines[-1] |= {"test_loss": 0.75, "test_top1": 0.625, "test_top5": 1.0}
        lines[-1] |= {"test_macro_recall": 0.5, "test_macro_f1": 0.5}
        records.replace_json(folder / "confusion.json", {"valid": [[1, 0], [0, 1]]})
        checkpoint.commit(folder / "best", "weights", {"model": torch.arange(4)}, keep=1)
    elif state in (State.FAILED, State.INFEASIBLE):
        ended = {"epoch": len(lines) + 1, "done": True, "state": state.value, "reason": "a reason"}
        lines.append(ended | {"ended_unix_s": STARTED_UNIX_S + 100})
    records.replace_json(folder / "config.json", {"model": "linformer"})
    workers = {"count": 2, "device": "cpu"}
    records.replace_json(folder / "provenance.json", {"git_sha": "abc", "workers": workers})
    records.replace_lines(folder / "metrics.jsonl", lines)
    attempts = [_event("open", 0)] + [_event("epoch", line["epoch"]) for line in lines]
    records.replace_lines(folder / "attempts.jsonl", attempts)
    return lines


@pytest.fixture
def write_trial() -> Callable[..., list[dict]]:
    return _write_trial


def _reopened(folder: Path, plan: Plan) -> SweepStudy:
    """The study of `plan` in the sweep's folder, with a storage of its own."""
    stored = create(plan.sweep, plan.directions, StudyFile(SweepFolder(folder)).storage())
    return study_of(stored, plan, Quantities())


@pytest.fixture(scope="session")
def study_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of studies without one: its tables take half a second."""
    folder = tmp_path_factory.mktemp("study")
    StudyFile(SweepFolder(folder)).storage().engine.dispose()
    return folder / "study.db"


@pytest.fixture(scope="session")
def mlflow_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: its tables take seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    client_of(f"sqlite:///{file}").search_experiments()
    return file


@dataclass
class MadeUp:
    """A home with one sweep in it."""

    home: Path
    plan: Plan

    @property
    def folder(self) -> Path:
        return self.home / self.plan.sweep

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def client(self):
        return client_of(self.uri)

    def study(self) -> SweepStudy:
        return _reopened(self.folder, self.plan)

    def projection(self) -> Projection:
        return Projection(self.uri, Home(self.home), self.plan, {"git_sha": "abc"})

    def train(self, study: SweepStudy, accuracies: list[float], state: State) -> Record:
        """One trial from its suggestion to its end, in the study and in its folder."""
        record = study.next()
        assert record is not None
        lines = _write_trial(self.folder / "trials" / record.key, accuracies, state)
        for line in lines:
            if "valid_top1" in line:
                study.report(record.key, line["epoch"], line)
        if state != State.RUNNING:
            study.finish(record.key, state, lines[-1].get("reason", ""), lines[-1])
        return record

    def project(self, study: SweepStudy) -> None:
        projection = self.projection()
        for record in study.accepted:
            projection.trial(record)
        projection.sweep("RUNNING" if study.unfinished else "FINISHED")


@pytest.fixture
def empty_sweep(tmp_path: Path, study_db: Path, mlflow_db: Path) -> MadeUp:
    """A sweep without trials, its databases ready."""
    made = MadeUp(tmp_path / "home", _plan())
    made.folder.mkdir(parents=True)
    shutil.copy(study_db, made.folder)
    shutil.copy(mlflow_db, made.home)
    made.plan.save(made.folder / "plan.json")
    return made


@pytest.fixture
def trained_sweep(empty_sweep: MadeUp) -> MadeUp:
    """A sweep of one complete trial, whose artifacts are its own: copies of a sweep share them."""
    study = empty_sweep.study()
    empty_sweep.train(study, [0.5], State.COMPLETE)
    empty_sweep.project(study)
    return empty_sweep


@pytest.fixture(scope="session")
def _whole(tmp_path_factory: pytest.TempPathFactory, study_db: Path, mlflow_db: Path) -> MadeUp:
    made = MadeUp(tmp_path_factory.mktemp("whole") / "home", _plan())
    made.folder.mkdir(parents=True)
    shutil.copy(study_db, made.folder)
    shutil.copy(mlflow_db, made.home)
    made.plan.save(made.folder / "plan.json")
    study = made.study()
    made.train(study, [0.5, 0.75, 0.625], State.COMPLETE)
    made.train(study, [0.25], State.STOPPED)
    made.train(study, [0.375], State.FAILED)
    made.train(study, [], State.INFEASIBLE)
    made.project(study)
    StudyFile(SweepFolder(made.folder)).keep()
    return made


@pytest.fixture
def whole_sweep(tmp_path: Path, _whole: MadeUp) -> MadeUp:
    """A finished sweep whose study, folders and MLflow agree: its trials complete, stopped, failed
    and infeasible, in this order."""
    shutil.copytree(_whole.home, tmp_path / "home")
    return MadeUp(tmp_path / "home", _whole.plan)


@pytest.fixture
def hold_lock() -> Iterator[Callable[[Path], subprocess.Popen]]:
    """Another process that holds the lock of a sweep's folder until its input is closed."""
    holders = []

    def hold(folder: Path) -> subprocess.Popen:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        return holder

    yield hold
    for holder in holders:
        holder.kill()
        holder.communicate()
