"""What came of a sweep: read from its study, its folders and its report; nothing is trained."""

import dataclasses
from pathlib import Path

import pytest
import torch

from reports.build import build
from search import result
from search.plan import Plan
from search.record import State
from search.sweep_folder import SweepFolder
from search.trial_result import TrialResult
from trainables import checkpoint, models
from trainables.config import TrialConfig
from trainables.errors import BadRequestError, StorageError
from trainables.home import Home


@pytest.fixture
def found(whole_sweep, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", whole_sweep.uri)
    home = Home(whole_sweep.home)
    build(home, "small")
    return result.read(home, "small")


def trial(number, value, state=State.COMPLETE, **known):
    values = {"valid_top1": value} if value is not None else {}
    known = {n: float(v) for n, v in known.items()}
    return TrialResult(
        key=f"{number:05d}-abc",
        number=number,
        params={},
        state=state,
        reason="",
        epoch=3,
        value=value,
        values=values | {n: v for n, v in known.items() if n == "latency_ms"},
        metrics=known,
        folder=Path("x"),
    )


def of(make_plan, trials, objectives=None):
    return result.SweepResult(
        name="s",
        home=Path("home"),
        variant="linformer",
        objectives=objectives or {"valid_top1": "max"},
        trials=trials,
        table=None,
        report=None,
        _plan=make_plan(),
    )


def test_all_trials_with_what_is_known_of_them(found, whole_sweep):
    assert (found.name, found.variant, found.home) == ("small", "linformer", whole_sweep.home)
    assert found.objectives == {"valid_top1": "max"}
    assert [t.state for t in found.trials] == ["complete", "stopped", "failed", "infeasible"]
    first = found.trials[0]
    assert (first.value, first.epoch, first.values) == (0.75, 3, {"valid_top1": 0.75})
    assert first.metrics["test_top1"] == 0.625
    assert first.metrics["valid_top1"] == 0.625, "that of the last epoch"
    assert first.params["grid"] == 7
    assert first.folder == whole_sweep.folder / "trials" / first.key
    assert found.trials[2].reason == "a reason"
    assert found.report.exists()


def test_the_table_has_a_row_for_each_trial(found):
    assert found.table.num_rows == 4
    rows = found.table.to_pylist()
    assert [row["trial_key"] for row in rows] == [t.key for t in found.trials]
    assert [row["state"] for row in rows] == [t.state for t in found.trials]
    assert {"param.depth", "param.grid", "best_valid_top1", "gflops"} <= set(rows[0])


def test_the_best_and_the_front_of_what_was_read(found):
    assert found.best == found.trials[0]
    assert found.front == [found.trials[0]], "with parameters that were counted"


def test_the_best_is_complete_if_any_is(make_plan):
    trials = [trial(0, 0.5), trial(1, 0.9, State.STOPPED), trial(2, 0.6, params=9)]
    assert of(make_plan, trials).best == trials[2]
    assert of(make_plan, trials[1:2]).best == trials[1]
    assert of(make_plan, [trial(0, None, State.FAILED)]).best is None
    tied = [trial(0, 0.6, params=20), trial(1, 0.6, params=10)]
    assert of(make_plan, tied).best == tied[1]


def test_a_repeat_is_no_other_trial(make_plan):
    first = trial(0, 0.6, params=9, gflops=1)
    lucky = dataclasses.replace(trial(1, 0.7, params=9, gflops=1), repeat_of=first.key)
    found = of(make_plan, [first, lucky])
    assert found.best == first
    assert found.front == [first]


def test_with_one_objective_costs_are_on_the_front(make_plan):
    trials = [
        trial(0, 0.9, params=20, gflops=2),
        trial(1, 0.8, params=10, gflops=2),
        trial(2, 0.8, params=20, gflops=1),
        trial(3, 0.7, params=20, gflops=2),
        trial(4, 0.99, State.STOPPED, params=1, gflops=1),
    ]
    assert [t.number for t in of(make_plan, trials).front] == [0, 1, 2]


def test_with_several_objectives_these_alone_are(make_plan):
    trials = [
        trial(0, 0.9, latency_ms=20, params=1),
        trial(1, 0.8, latency_ms=10, params=2),
        trial(2, 0.8, latency_ms=15, params=0),
    ]
    both = {"valid_top1": "max", "latency_ms": "min"}
    assert [t.number for t in of(make_plan, trials, both).front] == [0, 1]


def weighted(plan: Plan, key, folder):
    """Weights of a trial, as its best epoch's commit has them; returns the model."""
    record = next(t for t in folder.study().accepted if t.key == key)
    params = TrialConfig.from_flat(plan.flat(record.params)).params
    model = models.build("linformer", params, image_size=56, num_classes=3)
    files = SweepFolder(folder.folder).trial(key)
    state = {"epoch": 2, "valid_top1": 0.75, "model": model.state_dict()}
    checkpoint.commit(files.best.parent, files.best.name, state, keep=1)
    return model


def test_the_model_of_the_best_trial(found, whole_sweep):
    assert found.best is not None
    model = weighted(whole_sweep.plan, found.best.key, whole_sweep)
    loaded, images = found.load_model(), torch.rand(2, 3, 56, 56)
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(images), model.eval()(images))
    assert torch.equal(found.load_model(found.best.key)(images), loaded(images))


def test_a_model_whose_weights_are_gone(found):
    with pytest.raises(StorageError, match=r"no weights any more; .*keep_weights=True"):
        found.load_model(found.trials[1].key)


def test_an_unknown_trial(found):
    with pytest.raises(BadRequestError, match="no trial 'x'"):
        found.load_model("x")


def test_a_sweep_without_a_report(whole_sweep):
    with pytest.raises(StorageError, match="the report of small cannot be read"):
        result.read(Home(whole_sweep.home), "small")
