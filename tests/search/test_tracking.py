"""MLflow as a projection: everything is written, once, and an outage delays it at most."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from reports.mlflow_contract import STATUS
from search.mlflow_store import client_of
from search.projection import Projection, runs_of_trials
from search.record import State, config_hash
from search.tracking import Tracker
from trainables import records
from trainables.home import Home
from trainables.metrics import EPOCH, FINAL, TRAINING_TIME

SECONDS = 60
EVERY_EPOCH = EPOCH.keys() - {"train_auxiliary_loss"}  # which only some models have


def trial_runs(made):
    """The runs of a sweep's trials, by their key."""
    experiment = made.client.get_experiment_by_name("linformer")
    return {
        run.data.tags["trial_key"]: run
        for run in runs_of_trials(made.client, experiment.experiment_id, "small")
    }


def history(made, run, name):
    points = made.client.get_metric_history(run.info.run_id, name)
    return [(point.step, point.value) for point in points]


def content(made):
    """All that MLflow holds, apart from the runs' own ids."""
    found = {}
    experiment = made.client.get_experiment_by_name("linformer")
    for run in made.client.search_runs([experiment.experiment_id]):
        curves = {
            name: [
                (p.step, p.value, p.timestamp)
                for p in made.client.get_metric_history(run.info.run_id, name)
            ]
            for name in run.data.metrics
        }
        name = run.data.tags["mlflow.runName"]
        assert name not in found, "one run each"
        found[name] = (run.info.status, run.data.params, run.data.tags, curves)
    return found


def states(whole_sweep):
    study = whole_sweep.study()
    return {record.state: record for record in study.accepted}


def test_one_parent_and_one_child_a_trial(whole_sweep):
    experiment = whole_sweep.client.get_experiment_by_name("linformer")
    runs = whole_sweep.client.search_runs([experiment.experiment_id])
    kinds = Counter(run.data.tags["kind"] for run in runs)
    assert kinds == {"sweep": 1, "trial": 4}
    (parent,) = (run for run in runs if run.data.tags["kind"] == "sweep")
    assert parent.info.status == "FINISHED"
    assert json.loads(parent.data.tags["plan"]) == json.loads(whole_sweep.plan.to_json())
    assert parent.data.tags["variant"] == "linformer"
    assert parent.data.tags["data_sha256"] == "d" * 64
    assert parent.data.tags["git_sha"] == "abc"
    for run in trial_runs(whole_sweep).values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_what_became_of_a_trial(whole_sweep):
    runs, found = trial_runs(whole_sweep), states(whole_sweep)
    assert found.keys() == STATUS.keys() - {State.RUNNING, State.PAUSED}
    for state, record in found.items():
        run = runs[record.key]
        assert run.info.status == STATUS[state]
        assert run.info.end_time is not None
        assert run.data.tags["state"] == state.value
        assert run.data.tags["sweep"] == "small"
        assert run.data.tags["config_hash"] == config_hash(record.params)
        assert run.data.tags.get("reason", "") == record.reason
    assert runs[found[State.FAILED].key].data.tags["reason"] == "a reason"


def test_parameters_are_flat_and_whole(whole_sweep):
    runs = trial_runs(whole_sweep)
    for record in whole_sweep.study().accepted:
        expected = whole_sweep.plan.flat(record.params) | {"data": "tiny"}
        assert runs[record.key].data.params == {k: str(v) for k, v in expected.items()}


def test_curves_are_by_epoch_at_the_time_of_their_line(whole_sweep):
    record = states(whole_sweep)[State.COMPLETE]
    run = trial_runs(whole_sweep)[record.key]
    lines = records.scan(whole_sweep.folder / "trials" / record.key / "metrics.jsonl").sound
    for name in EVERY_EPOCH:
        assert history(whole_sweep, run, name) == [(line["epoch"], line[name]) for line in lines]
    points = whole_sweep.client.get_metric_history(run.info.run_id, "lr")
    assert [p.timestamp for p in points] == [int(1000 * line["ended_unix_s"]) for line in lines]


def test_final_scalars_are_said_once(whole_sweep):
    found, runs = states(whole_sweep), trial_runs(whole_sweep)
    complete = runs[found[State.COMPLETE].key]
    assert history(whole_sweep, complete, "best_valid_top1") == [(0, 0.75)]
    assert history(whole_sweep, complete, "best_epoch") == [(0, 2)]
    assert history(whole_sweep, complete, "test_top1") == [(0, 0.625)]
    on_gpus = {"gpu_hours", "finetune_gpu_hours_per_epoch"}
    times = TRAINING_TIME.keys() - on_gpus
    assert complete.data.metrics.keys() == EVERY_EPOCH | FINAL.keys() | times
    assert history(whole_sweep, complete, "worker_hours") == [(0, 3 * 1.5 * 2 / 3600)]
    reasons = complete.data.tags["training_time_reason"].split("; ")
    assert sorted(reasons) == sorted(f"{name}: trained on the CPU" for name in on_gpus)
    stopped = runs[found[State.STOPPED].key]
    assert history(whole_sweep, stopped, "best_valid_top1") == [(0, 0.25)]
    assert "test_top1" not in stopped.data.metrics
    assert not runs[found[State.INFEASIBLE].key].data.metrics, "nothing was measured"


def test_artifacts_of_a_trial(whole_sweep):
    record = states(whole_sweep)[State.COMPLETE]
    run = trial_runs(whole_sweep)[record.key]
    names = {item.path for item in whole_sweep.client.list_artifacts(run.info.run_id)}
    assert names == {"confusion.json", "config.json", "provenance.json"}


@pytest.mark.slow
def test_writing_again_changes_nothing(whole_sweep):
    before = content(whole_sweep)
    study = whole_sweep.study()
    whole_sweep.project(study)
    projection = whole_sweep.projection()
    for _ in range(2):
        for record in study.accepted:
            projection.trial(record)
    assert content(whole_sweep) == before


@pytest.mark.slow
def test_rebuilt_from_the_study_and_the_folders(whole_sweep, mlflow_db):
    before = content(whole_sweep)
    shutil.copy(mlflow_db, whole_sweep.home)
    whole_sweep.project(whole_sweep.study())
    after = content(whole_sweep)

    def but_for_ids(found):
        return {
            name: (status, params, {k: v for k, v in tags.items() if k != "mlflow.parentRunId"}, m)
            for name, (status, params, tags, m) in found.items()
        }

    assert but_for_ids(after) == but_for_ids(before)


def test_a_running_trial_goes_on_where_another_driver_left_it(empty_sweep):
    study = empty_sweep.study()
    record = empty_sweep.train(study, [0.25, 0.5], State.RUNNING)
    empty_sweep.projection().trial(record)
    (run,) = trial_runs(empty_sweep).values()
    assert run.info.status == "RUNNING"
    assert run.data.tags["state"] == "running"

    shutil.rmtree(empty_sweep.folder / "trials")
    study = empty_sweep.study()
    empty_sweep.train(study, [0.25, 0.5, 0.375], State.COMPLETE)
    for projection in (empty_sweep.projection(), empty_sweep.projection()):
        projection.trial(study.records[record.key])
    (run,) = trial_runs(empty_sweep).values()
    assert run.info.status == "FINISHED"
    assert history(empty_sweep, run, "valid_top1") == [(1, 0.25), (2, 0.5), (3, 0.375)]


def test_epochs_trained_again_are_not_written_twice(empty_sweep):
    """After a damaged checkpoint an epoch is trained, and timed, again."""
    study = empty_sweep.study()
    record = empty_sweep.train(study, [0.25, 0.5], State.RUNNING)
    empty_sweep.projection().trial(record)
    log = empty_sweep.folder / "trials" / record.key / "metrics.jsonl"
    lines = records.scan(log).sound
    lines[1] |= {"ended_unix_s": lines[1]["ended_unix_s"] + 99, "train_seconds": 7.0}
    records.replace_lines(log, lines)
    empty_sweep.projection().trial(record)
    (run,) = trial_runs(empty_sweep).values()
    for name in ("valid_top1", "train_seconds"):
        assert [step for step, _ in history(empty_sweep, run, name)] == [1, 2]


def test_a_trial_that_ends_while_it_is_written(empty_sweep, monkeypatch):
    """The writing thread and the driver do not wait for each other."""
    study = empty_sweep.study()
    record = empty_sweep.train(study, [0.25], State.RUNNING)
    projection = empty_sweep.projection()
    curve = projection._curve

    def slow_curve(*arguments):
        curve(*arguments)
        if record.state == State.RUNNING:
            study.finish(record.key, State.FAILED, "boom")

    monkeypatch.setattr(projection, "_curve", slow_curve)
    projection.trial(record)
    (run,) = trial_runs(empty_sweep).values()
    assert (run.info.status, run.data.tags["state"]) == ("RUNNING", "running")
    projection.trial(record)
    (run,) = trial_runs(empty_sweep).values()
    assert (run.info.status, run.data.tags["state"]) == ("FAILED", "failed")


def test_a_published_point_carries_its_address(empty_sweep):
    study = empty_sweep.study()
    params = {"depth": 4, "dim": 64, "k_dim": 4, "shared_kv": True, "heads": 2}
    params |= {"lr": 1e-3, "step_size": 5, "gamma": 0.5, "batch_size": 16}
    study.enqueue({"galaxy_runs.csv#T9:1": params})
    record = empty_sweep.train(study, [0.5], State.RUNNING)
    empty_sweep.projection().trial(record)
    (run,) = trial_runs(empty_sweep).values()
    assert run.data.tags["published"] == "galaxy_runs.csv#T9:1"


def test_efficiency_is_added(whole_sweep):
    record = states(whole_sweep)[State.STOPPED]
    before = trial_runs(whole_sweep)[record.key]
    values = {"params": 12345.0, "latency_ms": 2.5}
    whole_sweep.projection().efficiency(record, values, {"efficiency_device": "cpu"})
    run = trial_runs(whole_sweep)[record.key]
    assert run.data.metrics == before.data.metrics | values
    assert run.data.tags == before.data.tags | {"efficiency_device": "cpu"}
    assert run.info.status == "KILLED"
    assert len(trial_runs(whole_sweep)) == 4


def test_efficiency_is_said_once_and_what_is_new_counts(whole_sweep):
    record = states(whole_sweep)[State.COMPLETE]
    for latency_ms in (2.5, 2.5, 1.5, 1.5):
        whole_sweep.projection().efficiency(record, {"latency_ms": latency_ms}, {})
    run = trial_runs(whole_sweep)[record.key]
    assert history(whole_sweep, run, "latency_ms") == [(0, 2.5), (0, 1.5)]
    assert run.data.metrics["latency_ms"] == 1.5


def test_sweeps_share_an_experiment_and_not_their_runs(whole_sweep, make_plan):
    other = Projection(whole_sweep.uri, Home(whole_sweep.home), make_plan(sweep="other"), {})
    record = states(whole_sweep)[State.COMPLETE]
    other.trial(record)
    assert len(trial_runs(whole_sweep)) == 4
    experiment = whole_sweep.client.get_experiment_by_name("linformer").experiment_id
    assert len(runs_of_trials(whole_sweep.client, experiment, "other")) == 1


@pytest.mark.slow
def test_what_a_killed_driver_left_of_a_database_is_made_again(tmp_path):
    (tmp_path / ".mlflow.db.new").write_bytes(b"half of it")
    client = client_of(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    assert not (tmp_path / ".mlflow.db.new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("moment_s", [0.5, 1.5, 2.5])
def test_killed_while_mlflow_makes_its_tables(tmp_path, moment_s):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    program = "import sys, mlflow; from search.mlflow_store import client_of; print(flush=True); "
    line = [sys.executable, "-c", program + "client_of(sys.argv[1])", uri]
    maker = subprocess.Popen(line, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert maker.stdout is not None
    maker.stdout.readline()
    time.sleep(moment_s)
    maker.kill()
    maker.communicate()
    assert [experiment.name for experiment in client_of(uri).search_experiments()] == ["Default"]


def started(made):
    return Tracker(made.uri, Home(made.home), made.plan, {"git_sha": "abc"})


def test_the_tracker_writes_what_changed(empty_sweep):
    tracker, study = started(empty_sweep), empty_sweep.study()
    study.listeners.append(tracker.changed)
    done = empty_sweep.train(study, [0.5, 0.75], State.COMPLETE)
    running = empty_sweep.train(study, [0.25], State.RUNNING)
    assert tracker.close(SECONDS) == ""
    runs = trial_runs(empty_sweep)
    assert runs[done.key].info.status == "FINISHED"
    assert history(empty_sweep, runs[done.key], "valid_top1") == [(1, 0.5), (2, 0.75)]
    assert runs[running.key].info.status == "RUNNING"


def test_an_outage_loses_nothing(empty_sweep, monkeypatch, caplog):
    monkeypatch.setattr("search.tracking._RETRY_SECONDS", (0.01,))
    left = dict.fromkeys(("sweep", "trial"), 3)

    def failing_at_first(name):
        method = getattr(Projection, name)

        def failing(self, *arguments):
            if left[name]:
                left[name] -= 1
                raise ConnectionError("no server")
            return method(self, *arguments)

        return failing

    for name in left:
        monkeypatch.setattr(Projection, name, failing_at_first(name))
    tracker, study = started(empty_sweep), empty_sweep.study()
    study.listeners.append(tracker.changed)
    for accuracy in (0.5, 0.75):
        empty_sweep.train(study, [accuracy], State.COMPLETE)
    assert tracker.close(SECONDS) == ""
    assert left == {"sweep": 0, "trial": 0}
    assert tracker.trouble == ""
    assert "no server; trying again" in caplog.text
    runs = trial_runs(empty_sweep)
    assert [run.info.status for run in runs.values()] == ["FINISHED"] * 2


def test_a_run_whose_creation_was_not_answered_is_found(empty_sweep, monkeypatch):
    """The server made the run, but its answer was lost: asking again must not make a second."""
    monkeypatch.setattr("search.tracking._RETRY_SECONDS", (0.01,))
    client = type(empty_sweep.client)
    create, lost = client.create_run, []

    def unanswered(self, *arguments, **named):
        made = create(self, *arguments, **named)
        if len(lost) < 2:
            lost.append(made)
            raise ConnectionError("the answer was lost")
        return made

    monkeypatch.setattr(client, "create_run", unanswered)
    tracker, study = started(empty_sweep), empty_sweep.study()
    study.listeners.append(tracker.changed)
    empty_sweep.train(study, [0.5], State.COMPLETE)
    assert tracker.close(SECONDS) == ""
    assert len(lost) == 2
    assert content(empty_sweep).keys() == {"small", *(r.key for r in study.accepted)}


@pytest.mark.slow
def test_an_mlflow_that_comes_back_at_the_end_is_not_missed(empty_sweep, monkeypatch):
    """Between two tries up to half a minute goes by; at the end, a second."""
    monkeypatch.setattr("search.tracking._RETRY_SECONDS", (3600,))
    sweep, failed = Projection.sweep, []

    def failing_once(self, *arguments):
        if not failed:
            failed.append(True)
            raise ConnectionError("no server")
        return sweep(self, *arguments)

    monkeypatch.setattr(Projection, "sweep", failing_once)
    tracker, study = started(empty_sweep), empty_sweep.study()
    study.listeners.append(tracker.changed)
    empty_sweep.train(study, [0.5], State.COMPLETE)
    while not tracker.trouble:
        assert tracker._thread.is_alive()
    assert tracker.close(SECONDS) == ""
    assert len(trial_runs(empty_sweep)) == 1


@pytest.mark.slow
def test_an_mlflow_that_never_comes_back_is_told(empty_sweep, monkeypatch):
    monkeypatch.setattr("search.tracking._RETRY_SECONDS", (0.01,))
    back = threading.Event()
    sweep = Projection.sweep

    def failing(self, *arguments):
        if not back.is_set():
            raise ConnectionError("no server")
        return sweep(self, *arguments)

    monkeypatch.setattr(Projection, "sweep", failing)
    tracker, study = started(empty_sweep), empty_sweep.study()
    study.listeners.append(tracker.changed)
    record = empty_sweep.train(study, [0.5], State.COMPLETE)
    assert record.state == State.COMPLETE, "training does not wait"
    while not tracker.trouble:
        assert tracker._thread.is_alive()
    monkeypatch.setattr("search.tracking._AWAY_SECONDS", 1.0)
    said, start = [], time.monotonic()
    assert tracker.close(SECONDS, said.append) == "MLflow: no server"
    assert time.monotonic() - start < SECONDS, "what does not answer is not waited for as long"
    assert said == ["note: MLflow does not answer; it is waited for, at most 1 s"]
    back.set()
    assert tracker.close(SECONDS) == ""
    assert len(trial_runs(empty_sweep)) == 1
