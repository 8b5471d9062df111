"""A small MLflow store, written as a sweep writes it, and what `reports` makes of it."""

import re

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from reports import collect
from reports.build import build
from trainables.home import Home
from trainables.metrics import EFFICIENCY, EPOCH, FINAL, TRAINING_TIME

EVIL = "<script>alert('x')</script>"
STATUS = {"complete": "FINISHED", "stopped": "KILLED", "failed": "FAILED", "infeasible": "KILLED"}
NOT_MEASURED = {"efficiency_reason": "no idle device", "training_time_reason": "no GPU was used"}
# trial_key: (state, validation accuracy by epoch, throughput in images/s, extra tags)
TRIALS = {
    "t-fast": ("complete", (0.5, 0.8, 0.91), 4000.0, {"published": "galaxy_runs.csv#T12:010522B"}),
    "t-best": ("complete", (0.6, 0.9, 0.97), 1500.0, {}),
    "t-slow": ("complete", (0.6, 0.8, 0.95), 900.0, {"efficiency_other_load": "true"}),
    "t-bare": ("complete", (0.4, 0.7, 0.88), None, NOT_MEASURED),
    "t-cut": ("stopped", (0.2, 0.98), None, {"reason": "stopped at rung 2"}),
    "t-boom": ("failed", (0.1,), None, {"reason": f"loss is not finite {EVIL}"}),
    "t-huge": ("infeasible", (), None, {"reason": "12 GFLOPs are above the limit of 1"}),
    "t-now": ("running", (0.3,), None, {}),
}


def _metrics(state, accuracies, throughput, dim):
    found = [
        Metric(name, value if name == "valid_top1" else 0.25, epoch, epoch)
        for epoch, value in enumerate(accuracies, 1)
        for name in EPOCH
    ]
    final = {"params": dim * 1000.0, "gflops": dim / 500}
    if accuracies:
        final |= {"best_valid_top1": max(accuracies), "best_epoch": float(len(accuracies))}
    if state == "complete":
        final |= {name: 0.875 for name in FINAL if name.startswith("test_")}
    if throughput:
        final |= dict.fromkeys(EFFICIENCY.keys() - final.keys(), 2.0**21)
        final |= dict.fromkeys(TRAINING_TIME, 0.0625)
        final["throughput_images_per_s"] = throughput
    return found + [Metric(name, value, 99, 0) for name, value in final.items()]


def write(client, experiment, name, trials):
    """A sweep and its trials in MLflow, as `search.tracking` writes them."""
    about = {"kind": "sweep", "sweep": name, "variant": "linformer", "data": "digits"}
    about |= {"image_size": "56", "plan": '{"trials": 8}', "command": f"search.run {EVIL}"}
    parent = client.create_run(experiment, tags=about).info.run_id
    for number, (key, (state, accuracies, throughput, extra)) in enumerate(trials.items(), 1):
        tags = {"mlflow.parentRunId": parent, "kind": "trial", "sweep": name, "trial_key": key}
        tags |= {"state": state, "git_sha": "abc123", "data_sha256": "def456", **extra}
        run_id = client.create_run(experiment, tags=tags).info.run_id
        params = {"lr": 1e-4 * number, "dim": 64 * number, "shared_kv": number % 2 == 0}
        params |= {"k_dim": None if number == 1 else 16, "note": EVIL, "depth": 6}
        client.log_batch(
            run_id,
            metrics=_metrics(state, accuracies, throughput, 64 * number),
            params=[Param(name, str(value)) for name, value in params.items()],
        )
        if state != "running":
            client.set_terminated(run_id, STATUS[state])


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.create_experiment("linformer")
    write(client, experiment, "digits-empty", {})
    write(client, experiment, "digits-first", TRIALS)
    return home


@pytest.fixture(scope="session", autouse=True)
def _no_server():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="session")
def client(home):
    return collect.connect(Home(home))


@pytest.fixture(scope="session")
def tables(client):
    return collect.tables(client, collect.find(client, ["digits-first"])[0])


@pytest.fixture(scope="session")
def report(home):
    return build(Home(home), "digits-first")


@pytest.fixture(scope="session")
def body(report):
    """The report without the text of plotly.js."""
    return re.sub(r"<script>.{1000000,}?</script>", "", report.read_text("utf-8"), flags=re.DOTALL)


@pytest.fixture(name="write", scope="session")
def _write():
    """The function that fills the store, for a test with a sweep of its own."""
    return write
