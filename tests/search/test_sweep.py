"""Whole sweeps on an embedded Ray, killed and continued."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import psutil
import pytest
from mlflow import MlflowClient

from search import verify
from search.reading import reopened
from search.record import State
from trainables import records
from trainables.home import Home

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]  # for a busy machine

SMALL = ["grid=7", "depth=4", "dim=64", "heads=2", "shared_kv=true", "batch_size=64"]


def command(home: Path, trials: int, *more: str) -> list[str]:
    line = [sys.executable, "-m", "search.run", "linformer", "--home", str(home), "--name", "s"]
    line += [
        "--trials",
        str(trials),
        "--epochs",
        "3",
        "--image-size",
        "56",
        "--no-measure",
        "--set",
        *SMALL,
    ]
    return line + list(more)


def started(line: list[str], log: Path) -> subprocess.Popen:
    with log.open("a") as sink:
        return subprocess.Popen(line, stdout=sink, stderr=sink, start_new_session=True)


def finished(line: list[str], log: Path, seconds: float = 600) -> int:
    process = started(line, log)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def ended(home: Path) -> dict[str, tuple[str, dict]]:
    """State and parameters of the trials that have ended: one that is paused has not."""
    if not (home / "s" / "plan.json").exists():
        return {}
    _, study = reopened(Home(home), "s", None)
    return {r.key: (r.state, r.params) for r in study.accepted if r.state.final}


def epochs_begun(home: Path) -> int:
    logs = (home / "s" / "trials").glob("*/attempts.jsonl")
    return sum(line["event"] == "epoch" for log in logs for line in records.scan(log).sound)


def agreed(home: Path) -> None:
    assert verify.main(["--home", str(home)]) == 0
    experiment = MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_experiment_by_name("linformer")
    assert experiment is not None


@pytest.fixture(scope="module")
def finished_home(tmp_path_factory) -> Path:
    """A home with a finished sweep of three trials; `log` beside it has what the command said."""
    folder = tmp_path_factory.mktemp("finished")
    assert finished(command(folder / "home", 3), folder / "log") == 0, (folder / "log").read_text()
    return folder / "home"


@pytest.fixture
def copied_home(tmp_path, finished_home) -> Path:
    """The finished sweep, for a test to go on with."""
    return shutil.copytree(finished_home, tmp_path / "home")


def test_a_sweep_end_to_end(finished_home):
    assert "3 of 3 trials" in (finished_home.parent / "log").read_text()
    assert (finished_home / "reports" / "s" / "report.html").exists()
    trials = ended(finished_home)
    assert len(trials) == 3
    assert State.COMPLETE in {state for state, _ in trials.values()}
    agreed(finished_home)


def test_a_finished_sweep_says_so_and_can_be_extended(tmp_path, copied_home):
    log, before = tmp_path / "log", ended(copied_home)
    assert finished(command(copied_home, 3, "--resume"), log) == 0, log.read_text()
    assert "all 3 trials have ended" in log.read_text()
    assert ended(copied_home) == before
    assert finished(command(copied_home, 5), log) == 0, log.read_text()
    after = ended(copied_home)
    assert len(after) == 5
    assert before.items() <= after.items()
    agreed(copied_home)


@pytest.mark.parametrize("copy", [True, False], ids=["with its copy", "without a copy"])
def test_a_lost_study_loses_no_trial(tmp_path, copied_home, copy):
    """Nor does it train one again; a look at the sweep in between changes nothing."""
    log, sweep = tmp_path / "log", copied_home / "s"
    before, begun = ended(copied_home), epochs_begun(copied_home)
    for path in sweep.glob("study.db*"):
        if path.name != "study.db.good" or not copy:
            path.unlink()
    here = sorted(path.name for path in sweep.iterdir())
    assert verify.main(["--home", str(copied_home)]) == 6
    assert sorted(path.name for path in sweep.iterdir()) == here
    assert finished(command(copied_home, 3, "--resume"), log) == 0, log.read_text()
    assert "the study was damaged (it is missing)" in log.read_text()
    after = ended(copied_home)
    assert {key: params for key, (_, params) in after.items()} == {
        key: params for key, (_, params) in before.items()
    }
    stopped = [state for state, _ in before.values() if state == State.STOPPED]
    assert epochs_begun(copied_home) == begun or stopped, "only one that was stopped may go on"
    agreed(copied_home)


def test_driver_killed_five_times(tmp_path):
    """Nothing finished is lost or trained again; at most one epoch of a running trial repeated."""
    rng, log, kills, known = random.Random(7), tmp_path / "log", 0, {}
    moments = []
    line = command(tmp_path, 8)
    while kills < 5:
        process = started([*line, "--resume"] if known or kills else line, log)
        begun, deadline = epochs_begun(tmp_path), time.monotonic() + 120
        # wait for training to go on, so that kills fall among trials; some fall before
        patient = rng.random() < 0.8
        while patient and epochs_begun(tmp_path) == begun and time.monotonic() < deadline:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 2.0 if patient else 8.0))
        if process.poll() is not None:
            assert process.returncode == 0, log.read_text()[-3000:]
            line = command(tmp_path, len(ended(tmp_path)) + 3)
            continue
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        now = ended(tmp_path)
        moments.append(len(now))
        assert known.items() <= now.items(), "a finished trial was lost or changed"
        known = now
        wait_until_gone(tmp_path)
    assert finished(line, log) == 0, log.read_text()[-3000:]
    assert known.items() <= ended(tmp_path).items()
    assert len(ended(tmp_path)) >= 8
    agreed(tmp_path)
    sys.stdout.write(f"finished trials at each kill: {moments}\n")


def wait_until_gone(home: Path, seconds: float = 60) -> None:
    """Wait until the workers of a killed driver are gone; they notice within seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(worker_pids(home)):
        time.sleep(0.2)


def worker_pids(home: Path) -> list[int]:
    """Living processes that opened a trial of this home."""
    logs = (home / "s" / "trials").glob("*/attempts.jsonl")
    opened = {line["pid"] for log in logs for line in records.scan(log).sound if "pid" in line}
    return [pid for pid in opened if psutil.pid_exists(pid) and "ray::" in name_of(pid)]


def name_of(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def test_worker_killed_three_times(tmp_path):
    rng, log, kills = random.Random(3), tmp_path / "log", 0
    process = started(command(tmp_path, 6), log)
    while kills < 3:
        assert process.poll() is None, log.read_text()[-3000:]
        pids = worker_pids(tmp_path)
        if not pids:
            time.sleep(0.1)
            continue
        time.sleep(rng.uniform(0, 3))
        victim = rng.choice(pids)
        if psutil.pid_exists(victim):
            os.kill(victim, signal.SIGKILL)
            kills += 1
    assert process.wait(600) == 0, log.read_text()[-3000:]
    states = [state for state, _ in ended(tmp_path).values()]
    assert len(states) == 6
    assert State.FAILED not in states
    agreed(tmp_path)


def test_interrupted_by_ctrl_c_and_resumed(tmp_path):
    log = tmp_path / "log"
    process = started(command(tmp_path, 6), log)
    while epochs_begun(tmp_path) < 2:
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130, log.read_text()[-3000:]
    assert "--resume" in log.read_text()
    before = ended(tmp_path)
    assert finished(command(tmp_path, 6, "--resume"), log) == 0, log.read_text()[-3000:]
    assert before.items() <= ended(tmp_path).items()
    agreed(tmp_path)


def test_locked_by_a_living_driver(tmp_path):
    log = tmp_path / "log"
    process = started(command(tmp_path, 4), log)
    while not (tmp_path / "s" / "plan.json").exists():
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    second = subprocess.run(command(tmp_path, 4), capture_output=True, text=True, check=False)
    assert second.returncode == 3
    assert str(process.pid) in second.stderr
    assert process.wait(300) == 0


def test_two_nodes_with_a_lane_on_each(tmp_path, monkeypatch):
    """A driver joins a running cluster of two worker nodes; each gets a lane."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        log = tmp_path / "log"
        line = command(tmp_path, 4, "--address", cluster.address)
        assert finished(line, log) == 0, log.read_text()[-3000:]
    finally:
        cluster.shutdown()
    agreed(tmp_path)
    lanes = {
        line["pid"]
        for path in (tmp_path / "s" / "trials").glob("*/attempts.jsonl")
        for line in records.scan(path).sound
        if line["event"] == "open"
    }
    assert len(lanes) == 2
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's' / 'study.db'}")
    assert not [t for t in study.trials if t.state == optuna.trial.TrialState.RUNNING]
    assert json.loads((tmp_path / "s" / "plan.json").read_text())["trials"] == 4
