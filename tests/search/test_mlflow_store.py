"""MLflow is a projection: a store that cannot be used is told, and what is lost comes back."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from reports import build as report
from reports.mlflow_contract import explained
from search import verify
from search.mlflow_store import client_of, usable
from search.projection import Projection, runs_of_trials
from search.record import State
from search.tracking import Tracker
from trainables.errors import StorageError
from trainables.home import Home

SECONDS = 60


def age(made):
    """Make the database one of an older MLflow."""
    with closing(sqlite3.connect(made.home / "mlflow.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'cc1f77228345'")
        connection.commit()


def spoil(made):
    (made.home / "mlflow.db").write_bytes(b"garbage" * 1000)


@pytest.mark.parametrize(
    ("harm", "said"),
    [(age, "mlflow db upgrade sqlite:///"), (spoil, "is damaged; move it away")],
)
def test_a_store_that_cannot_be_used_is_told(whole_sweep, capsys, harm, said):
    harm(whole_sweep)
    content = (whole_sweep.home / "mlflow.db").read_bytes()
    for command in (verify.main, report.main):
        for more in ([], ["--rebuild"]) if command is verify.main else ([],):
            assert command([*more, "--home", str(whole_sweep.home)]) == 6
            told = capsys.readouterr().err
            assert said in told
            assert len(told.strip().splitlines()) == 1
    assert (whole_sweep.home / "mlflow.db").read_bytes() == content


def test_a_sweep_puts_a_damaged_store_aside_and_refuses_an_older_one(whole_sweep):
    age(whole_sweep)
    with pytest.raises(StorageError, match="db upgrade"):
        usable(whole_sweep.uri)
    spoil(whole_sweep)
    assert "was damaged and is made again, kept mlflow.db.damaged-" in usable(whole_sweep.uri)
    assert usable(whole_sweep.uri) == ""
    assert len(list(whole_sweep.home.glob("mlflow.db.damaged-*"))) == 1
    assert usable("http://127.0.0.1:9") == "", "a server may come back"


def test_what_is_known_is_explained_in_one_line():
    uri = "sqlite:////home/a b/mlflow.db"
    old = "Detected out-of-date database schema (found version a, but expected b)."
    assert "mlflow db upgrade 'sqlite:////home/a b/mlflow.db'" in explained(Exception(old), uri)
    assert explained(Exception("one\ntwo"), uri) == "MLflow: one"
    assert explained(TimeoutError(), uri) == "MLflow: TimeoutError"


def experiment(made):
    return made.client.get_experiment_by_name("linformer").experiment_id


def runs(made):
    found = runs_of_trials(made.client, experiment(made), "small")
    return {run.data.tags["trial_key"]: run for run in found}


def parents(made):
    return made.client.search_runs([experiment(made)], "tags.kind = 'sweep'")


def started(made):
    return Tracker(made.uri, Home(made.home), made.plan, {"git_sha": "abc"})


def delete_the_run(made):
    for run in runs(made).values():
        if run.info.status == "RUNNING":
            made.client.delete_run(run.info.run_id)


def delete_the_parent(made):
    for run in parents(made):
        made.client.delete_run(run.info.run_id)


def delete_the_experiment(made):
    made.client.delete_experiment(experiment(made))


@pytest.mark.slow
@pytest.mark.parametrize("delete", [delete_the_run, delete_the_parent, delete_the_experiment])
def test_what_is_deleted_in_the_middle_comes_back(empty_sweep, monkeypatch, delete):
    monkeypatch.setattr("search.tracking._RETRY_SECONDS", (0.01,))
    tracker, study = started(empty_sweep), empty_sweep.study()
    study.listeners.append(tracker.changed)
    record = empty_sweep.train(study, [0.25, 0.5], State.RUNNING)
    other = empty_sweep.train(study, [0.25], State.COMPLETE)
    assert tracker.close(SECONDS) == ""
    tracker = started(empty_sweep)
    study.listeners[:] = [tracker.changed]
    tracker.changed(record)
    delete(empty_sweep)
    study.finish(record.key, State.FAILED, "a reason")
    third = empty_sweep.train(study, [0.5], State.COMPLETE)
    assert tracker.close(SECONDS) == ""
    projection = empty_sweep.projection()  # as the sweep does when it ends
    projection.sweep("FINISHED")
    for known in study.accepted:
        projection.trial(known)
    found = runs(empty_sweep)
    assert found.keys() == {record.key, other.key, third.key}
    assert [found[key].info.status for key in sorted(found)] == ["FAILED", "FINISHED", "FINISHED"]
    (parent,) = parents(empty_sweep)
    for run in found.values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_a_trial_that_mlflow_refuses_does_not_stop_the_others(empty_sweep, monkeypatch):
    monkeypatch.setattr("search.tracking._RETRY_SECONDS", (0.01,))
    study = empty_sweep.study()
    refused = empty_sweep.train(study, [0.25], State.RUNNING)
    empty_sweep.projection().trial(refused)
    with closing(sqlite3.connect(empty_sweep.home / "mlflow.db")) as connection:
        connection.execute("UPDATE params SET value = 'other' WHERE key = 'lr'")
        connection.commit()
    tracker = started(empty_sweep)
    study.listeners.append(tracker.changed)
    tracker.changed(refused)
    other = empty_sweep.train(study, [0.5], State.COMPLETE)
    trouble = tracker.close(SECONDS)
    assert "Changing param values is not allowed" in trouble
    assert runs(empty_sweep)[other.key].info.status == "FINISHED"


def test_a_report_is_made_without_mlflow(whole_sweep, mlflow_db, tmp_path):
    """From a store of its own, which the study and the folders fill."""
    uri = f"sqlite:///{tmp_path / 'own.db'}"
    home, plan = Home(whole_sweep.home), whole_sweep.plan
    (whole_sweep.home / "mlflow.db").unlink()
    shutil.copy(mlflow_db, tmp_path / "own.db")
    projection = Projection(uri, home, plan, {}, artifacts=tmp_path / "artifacts")
    projection.sweep("FINISHED")
    for record in whole_sweep.study().accepted:
        projection.trial(record)
    assert report.build(home, "small", uri).exists()
    assert not (whole_sweep.home / "mlflow.db").exists()
    assert [e.name for e in client_of(uri).search_experiments()] == ["linformer", "Default"]
