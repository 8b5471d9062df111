"""What `search` wrote into MLflow becomes two tidy tables."""

import math

import pyarrow as pa
import pytest
from mlflow.entities import Metric

from reports import collect, mlflow_contract
from trainables.metrics import EFFICIENCY, EPOCH, FINAL, TRAINING_TIME


def test_a_trial_is_a_row_with_typed_columns(tables):
    trials, _ = tables
    keys = ["t-fast", "t-best", "t-slow", "t-bare", "t-cut", "t-boom", "t-huge", "t-now"]
    assert trials["trial_key"].to_pylist() == keys
    others = ["stopped", "failed", "infeasible", "running"]
    assert trials["state"].to_pylist() == ["complete"] * 4 + others
    assert trials["last_epoch"].to_pylist() == [3, 3, 3, 3, 2, 1, None, 1]
    assert trials["epochs"].to_pylist() == [3, 3, 3, 3, 2, 1, 0, 1]
    assert trials["status"].to_pylist()[3:] == ["FINISHED", "KILLED", "FAILED", "KILLED", "RUNNING"]
    kinds = {name: trials.schema.field(f"param.{name}").type for name in ("lr", "dim", "note")}
    assert kinds == {"lr": pa.float64(), "dim": pa.int64(), "note": pa.string()}
    assert trials["param.shared_kv"].to_pylist()[:2] == [False, True]
    assert trials["param.k_dim"].to_pylist()[:2] == [None, 16]
    assert {*FINAL, *TRAINING_TIME, *EFFICIENCY} <= set(trials.column_names)
    assert trials["gpu_hours"].to_pylist()[2:4] == [0.0625, None]
    assert trials["throughput_images_per_s"].to_pylist()[2:4] == [900.0, None]


def test_curves_have_a_row_an_epoch(tables):
    _, curves = tables
    best = [row for row in curves.to_pylist() if row["trial_key"] == "t-best"]
    assert [row["epoch"] for row in best] == [1, 2, 3]
    assert [row["valid_top1"] for row in best] == [0.6, 0.9, 0.97]
    assert set(EPOCH) <= set(curves.column_names)


def test_small_pages_lose_no_trial(client, tables, monkeypatch):
    monkeypatch.setattr(mlflow_contract, "PAGE", 3)
    trials, _ = collect.tables(client, collect.find(client, ["digits-first"])[0])
    assert trials.equals(tables[0])


def test_a_repeated_epoch_counts_as_last_written_and_infinity_returns(client, write):
    experiment = client.create_experiment("repeated")
    trial = {"again": ("complete", (0.5, 0.6), None, {})}
    write(client, experiment, "digits-again", trial)
    sweep = collect.find(client, ["digits-again"])[0]
    run_id = collect.tables(client, sweep)[0]["run_id"][0].as_py()
    later = [Metric("valid_top1", 0.7, 9, 2), Metric("train_loss", math.inf, 9, 2)]
    client.log_batch(run_id, metrics=later)
    last = collect.tables(client, sweep)[1].to_pylist()[-1]
    assert (last["epoch"], last["valid_top1"], last["train_loss"]) == (2, 0.7, math.inf)
    client.delete_experiment(experiment)


def test_unknown_sweeps_are_all_named_with_the_nearest(client):
    with pytest.raises(ValueError, match=r"'digits-frst'; did you mean 'digits-first'") as caught:
        collect.find(client, ["digits-frst", "digits-first", "unheard"])
    assert "'unheard'" in str(caught.value)
    assert "digits-first, digits-empty" in str(caught.value)


def test_the_newest_of_two_parent_runs_counts(client, write):
    experiment = client.create_experiment("twice")
    for _ in range(2):
        write(client, experiment, "digits-twice", {})
    found = collect.find(client, ["digits-twice"])[0]
    assert found.namesakes == 1
    client.delete_experiment(experiment)


def test_what_was_unknown_when_written_is_missing(client, write):
    experiment = client.create_experiment("unknown")
    write(
        client, experiment, "digits-bare", {"bare": ("complete", (0.5,), None, {"git_sha": "None"})}
    )
    trials, _ = collect.tables(client, collect.find(client, ["digits-bare"])[0])
    assert trials["git_sha"].to_pylist() == [None]
    assert trials["data_sha256"].to_pylist() == ["def456"]
    client.delete_experiment(experiment)
