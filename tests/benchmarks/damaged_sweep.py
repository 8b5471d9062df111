"""A sweep of tiny trials in a home of its own, and what may happen to its stores."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.benchmarks.three_stores import Trial, of_study

SWEEP, TRIALS, ENDED = "tiny", 6, 3
SMALL = ["grid=7", "depth=4", "dim=64", "k_dim=4", "heads=2", "shared_kv=true", "batch_size=128"]
BUDGET = ["--trials", str(TRIALS), "--epochs", "2", "--image-size", "28", "--no-measure"]
HOLDER = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], timeout=30)
database.execute("PRAGMA locking_mode = EXCLUSIVE")
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


class Soak:
    """A home with the sweep, and what was done to it."""

    def __init__(self, work: Path, rng: random.Random):
        self.home, self.kept, self.log = work / "home", work / "kept", work / "log.txt"
        self.cache, self.rng = work / "cache", rng
        self.folder = self.home / SWEEP
        self.damaged: set[tuple[str, int]] = set()
        self.holder: subprocess.Popen[bytes] | None = None
        self.environment = os.environ | {"SEARCH_CACHE": str(self.cache)}

    def command(self, *more: str) -> list[str]:
        run = [sys.executable, "-m", "search.run", "linformer", "--home", str(self.home)]
        return [*run, "--name", SWEEP, "--lanes", "1", *more]

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log.open("a") as sink:
            return subprocess.Popen(
                command, env=self.environment, stdout=sink, stderr=sink, start_new_session=True
            )

    def prepare(self) -> None:
        """The sweep, killed when some of its trials have ended and others have not."""
        driver = self.start(self.command(*BUDGET, "--set", *SMALL))
        while sum(trial.native != "RUNNING" for trial in self.study().values()) < ENDED:
            if driver.poll() is not None:
                raise RuntimeError(f"the sweep ended too early:\n{self.log.read_text()}")
            time.sleep(0.2)
        end(driver)
        shutil.copytree(self.home, self.kept)

    def study(self) -> dict[str, Trial]:
        file = self.folder / "study.db"
        try:
            return of_study(file) if file.exists() else {}
        except sqlite3.OperationalError:  # its tables are being made
            return {}

    def restore(self) -> None:
        shutil.rmtree(self.home)
        shutil.copytree(self.kept, self.home)
        self.damaged = set()
        self.log.write_text("")

    def said(self) -> str:
        return self.log.read_text()[-3000:]

    def noted(self) -> str:
        """The first line that tells of the damage."""
        told = ("note: ", "warning: ")
        found = (line for line in self.log.read_text().splitlines() if line.startswith(told))
        return next(found, "")[:150]

    def mlflow(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.home / "mlflow.db", timeout=30)) as database, database:
            for statement in statements:
                database.execute(statement)


Damage = Callable[[Soak], None]


def end(driver: subprocess.Popen[bytes]) -> None:
    """Kill the driver as an operator's `kill -9` does; Ray's processes notice."""
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(2)


def study_gone(soak: Soak) -> None:
    for file in soak.folder.glob("study.db*"):
        if file.name != "study.db.good":
            file.unlink()


def study_and_copy_gone(soak: Soak) -> None:
    for file in soak.folder.glob("study.db*"):
        file.unlink()


def study_of_no_bytes(soak: Soak) -> None:
    study_gone(soak)
    (soak.folder / "study.db").touch()
    look = [sys.executable, "-m", "search.verify", SWEEP, "--home", str(soak.home)]
    subprocess.run(look, env=soak.environment, capture_output=True, check=False)


def study_locked(soak: Soak) -> None:
    seconds = str(soak.rng.uniform(10, 40))
    holder = [sys.executable, "-c", HOLDER, str(soak.folder / "study.db"), seconds]
    soak.holder = subprocess.Popen(holder, stdout=subprocess.PIPE)
    assert soak.holder.stdout is not None
    soak.holder.stdout.readline()


def plan_lost(soak: Soak) -> None:
    (soak.folder / "plan.json").unlink(missing_ok=True)


def runs_deleted(soak: Soak) -> None:
    """A run that is running and one that has ended, as MLflow's pages delete them."""
    of_trials = "SELECT run_uuid FROM tags WHERE key = 'trial_key'"
    alive = f"lifecycle_stage = 'active' AND run_uuid IN ({of_trials})"
    for status in ("= 'RUNNING'", "!= 'RUNNING'"):
        one = f"SELECT run_uuid FROM runs WHERE status {status} AND {alive} LIMIT 1"
        soak.mlflow(f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid IN ({one})")


def parent_deleted(soak: Soak) -> None:
    own = "SELECT run_uuid FROM tags WHERE key = 'kind' AND value = 'sweep'"
    soak.mlflow(f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid IN ({own})")


def experiment_deleted(soak: Soak) -> None:
    soak.mlflow(
        "UPDATE experiments SET lifecycle_stage = 'deleted'",
        "UPDATE runs SET lifecycle_stage = 'deleted'",
    )


def line_damaged(soak: Soak) -> None:
    """A byte of one line of a trial's log; if the trial had ended, nothing can replace it."""
    logs = [file for file in soak.folder.glob("trials/*/metrics.jsonl") if file.stat().st_size]
    log = soak.rng.choice(sorted(logs))
    content = bytearray(log.read_bytes())
    number = soak.rng.randrange(content.count(b"\n"))
    lines = bytes(content).split(b"\n")
    middle = sum(len(line) + 1 for line in lines[:number]) + len(lines[number]) // 2
    content[middle] ^= 1 << 7
    log.write_bytes(bytes(content))
    if soak.study()[log.parent.name].native != "RUNNING":
        soak.damaged.add((log.parent.name, number + 1))


def cache_flipped(soak: Soak) -> None:
    file = soak.rng.choice(sorted(soak.cache.rglob("*.npy")))
    content = bytearray(file.read_bytes())
    content[soak.rng.randrange(128, len(content))] ^= 1 << soak.rng.randrange(8)
    file.write_bytes(bytes(content))


DAMAGES: tuple[Damage, ...] = (
    study_gone,
    study_and_copy_gone,
    study_of_no_bytes,
    study_locked,
    plan_lost,
    runs_deleted,
    parent_deleted,
    experiment_deleted,
    line_damaged,
    cache_flipped,
)
