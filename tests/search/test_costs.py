"""What a sweep's architectures cost, with a run that measures nothing."""

import json
from pathlib import Path

import pytest

from search.costs import Costs, scalars, tags
from search.measuring import Measuring
from search.record import State
from tests.trainables.efficiency_answer import answer
from trainables.efficiency.results import Results
from trainables.efficiency.subjects import architecture


class Run:
    def __init__(self, result=None):
        self.asked, self._result = [], result or answer()

    def __call__(self, model, params, **named):
        self.asked.append((model, params, named))
        return self._result


def unseen(_done, _total):
    pass


def costs(made, run):
    return Costs(made.home, made.plan, Measuring(run, "cpu: a processor", 2))


def test_each_architecture_is_measured_once_and_quickly(whole_sweep):
    run, trials = Run(), whole_sweep.study().trained
    costs(whole_sweep, run).measure([*trials, *trials], unseen)
    architectures = {json.dumps(architecture(record.params)) for record in trials}
    assert len(run.asked) == len(architectures)
    for model, params, named in run.asked:
        assert model == "linformer"
        assert "lr" not in params
        assert (named["seconds"], named["mode"], named["precision"]) == (1.0, "eager", "fp32")
        assert (named["image_size"], named["num_classes"], named["threads"]) == (56, 3, 2)
    again = Run()
    costs(whole_sweep, again).measure(trials, unseen)
    assert not again.asked
    assert Results(whole_sweep.home).table()["repeats"].to_pylist() == [1] * len(architectures)


def test_the_same_architecture_with_another_recipe_is_known(whole_sweep):
    record = whole_sweep.study().trained[0]
    measured = costs(whole_sweep, Run())
    measured.measure([record], unseen)
    record.params |= {"lr": 0.123, "drop_path": 0.4}
    assert measured.row(record) is not None
    record.params |= {"depth": 1 + int(record.params["depth"])}
    assert measured.row(record) is None


def test_a_runs_headline_is_in_metrics_and_the_row_an_artifact(trained_sweep):
    study = trained_sweep.study()
    measured = costs(trained_sweep, Run())
    measured.measure(study.trained, unseen)
    for _ in range(2):  # again changes nothing
        measured.publish(study.trained, trained_sweep.projection())
    (record,) = (record for record in study.trained if record.state == State.COMPLETE)
    assert record.metrics["latency_ms"] == 2.0
    client = trained_sweep.client
    experiment = client.get_experiment_by_name("linformer").experiment_id
    (run,) = client.search_runs([experiment], f"tags.trial_key = '{record.key}'")
    assert run.data.metrics["throughput_images_per_s"] == 100.0
    assert run.data.tags["efficiency_device"].startswith("a processor")
    assert "out of memory" in run.data.tags["efficiency_reason"]
    (path,) = (a.path for a in client.list_artifacts(run.info.run_id) if "efficiency" in a.path)
    place = client.download_artifacts(run.info.run_id, path)
    row = json.loads(Path(place).read_text())
    assert row == json.loads(json.dumps(measured.row(record)))
    assert row["throughputs"][0]["images_per_s"] == 50.0


@pytest.mark.parametrize("result", [{"error": "too large"}])
def test_what_cannot_be_measured_has_a_reason_and_no_numbers(whole_sweep, result):
    record = whole_sweep.study().trained[0]
    measured = costs(whole_sweep, Run(result))
    measured.measure([record], unseen)
    row = measured.row(record)
    assert row is not None
    assert scalars(row) == {}
    assert tags(row) == {"efficiency_reason": "everything: too large"}


def test_other_load_is_a_tag(whole_sweep):
    record = whole_sweep.study().trained[0]
    measured = costs(whole_sweep, Run(answer() | {"other_load": True}))
    measured.measure([record], unseen)
    row = measured.row(record)
    assert row is not None
    assert tags(row)["efficiency_other_load"] == "true"
