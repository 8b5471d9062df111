"""What a sweep's architectures cost, with a run that measures nothing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from search.costs import Costs, subject_of
from search.logged_models import dataset, scalars, tags
from search.measuring import Measuring
from search.quantities import Measured
from search.record import State
from tests.trainables.efficiency_answer import answer
from trainables.efficiency.execution import WTTF_PROTOCOL, Setting
from trainables.efficiency.results import Results
from trainables.efficiency.subjects import architecture
from trainables.home import Home


class Run:
    def __init__(self, result=None):
        self.asked, self._result = [], result or answer()

    def __call__(self, model, params, **named):
        self.asked.append((model, params, named))
        return self._result


def unseen(_done, _total):
    pass


def costs(made, run):
    return Costs(Home(made.home), made.plan, Measuring(run, "cpu: a processor", 2))


def test_each_architecture_is_measured_once_and_quickly(whole_sweep):
    run, trials = Run(), whole_sweep.study().accepted
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
    record = whole_sweep.study().accepted[0]
    measured = costs(whole_sweep, Run())
    measured.measure([record], unseen)
    record.params |= {"lr": 0.123, "drop_path": 0.4}
    assert measured.row(record) is not None
    record.params |= {"depth": 1 + int(record.params["depth"])}
    assert measured.row(record) is None


def test_the_headline_has_the_numbers_that_the_search_decided_by(whole_sweep):
    record = whole_sweep.study().accepted[0]
    whole_sweep.plan = replace(whole_sweep.plan, objectives=("valid_top1", "latency_ms"))
    before, after = Run(answer(4.0)), Run(answer(9.0))
    way = Measuring(before, "cpu: a processor", 2)
    home = Home(whole_sweep.home)
    decided = Measured(home, whole_sweep.plan, way, whole_sweep.home / "quiet", lambda _: None)
    assert decided.row(record.params)["latency_ms"] == 4.0
    measured = costs(whole_sweep, after)
    assert measured.row(record) is None, "the rest is not known yet"
    measured.measure([record], unseen)
    row = measured.row(record)
    assert (row["latency_ms"], row["latency_ms_most"]) == (4.0, 4.0)
    assert row["throughput_images_per_s"] is not None
    assert measured.rows(record) == [row]
    unmeasuring = Costs(home, whole_sweep.plan)
    assert unmeasuring.rows(record) == [row], "verify looks for the published numbers here"


def of_kind(made, kind):
    experiment = made.client.get_experiment_by_name("linformer").experiment_id
    return made.client.search_runs([experiment], f"tags.kind = '{kind}'")


def model_of(made):
    experiment = made.client.get_experiment_by_name("linformer").experiment_id
    (model,) = made.client.search_logged_models([experiment])
    return model


def by_dataset(model):
    """{name of the data set: {metric: its value there}}; two of one metric are a mistake."""
    found = {}
    for point in model.metrics:
        values = found.setdefault(point.dataset_name, {})
        assert point.key not in values
        values[point.key] = point.value
    return found


def add(made, record, setting, result, **changes):
    """A measurement in another setting, as `search.measure SWEEP --trial KEY` adds it."""
    subject = subject_of(record, made.plan)
    conditions = Measuring(Run(), "cpu: a processor", 2).conditions(2.0)
    identity = replace(conditions.of(subject, setting), **changes)
    Results(made.home).add(identity, [result], "thoroughly")
    return identity


def artifact(made, run_id, name):
    return json.loads(Path(made.client.download_artifacts(run_id, name)).read_text())


def test_a_runs_headline_is_in_metrics_and_every_row_in_the_artifact(trained_sweep):
    study = trained_sweep.study()
    (record,) = study.accepted
    added = add(trained_sweep, record, Setting("compile", "bf16"), answer(latency_ms=1.0))
    measured = costs(trained_sweep, Run())
    measured.measure(study.accepted, unseen)
    measured.publish(study.accepted, trained_sweep.projection())
    assert record.metrics["latency_ms"] == 2.0
    (run,) = of_kind(trained_sweep, "trial")
    assert run.data.metrics["throughput_images_per_s"] == 100.0
    assert run.data.metrics["latency_ms"] == 2.0
    assert run.data.tags["efficiency_device"].startswith("a processor")
    assert "out of memory" in run.data.tags["efficiency_reason"]
    rows = artifact(trained_sweep, run.info.run_id, "efficiency.json")
    wanted = [measured.row(record), Results(trained_sweep.home).get(added)]
    assert rows == json.loads(json.dumps(wanted)), "the headline first"
    assert rows[0]["throughputs"][0]["images_per_s"] == 500.0


def test_a_logged_model_has_every_setting_as_a_data_set(trained_sweep):
    study = trained_sweep.study()
    (record,) = study.accepted
    add(trained_sweep, record, Setting("compile", "bf16", "bf16"), answer(latency_ms=1.0))
    add(trained_sweep, record, WTTF_PROTOCOL, answer(latency_ms=3.0))
    add(trained_sweep, record, Setting(), answer(latency_ms=4.0), image_size=112)
    add(trained_sweep, record, Setting(), answer(latency_ms=5.0), num_classes=7)
    add(trained_sweep, record, Setting("cuda_graph"), {"error": "needs a CUDA device"})
    measured = costs(trained_sweep, Run())
    measured.measure(study.accepted, unseen)
    measured.publish(study.accepted, trained_sweep.projection())
    model = model_of(trained_sweep)
    latency_ms = {name: values["latency_ms"] for name, values in by_dataset(model).items()}
    assert latency_ms == {
        "cpu: a processor, fp32, eager": 2.0,
        "cpu: a processor, bf16, compile": 1.0,
        "cpu: a processor, fp32, eager, trained in fp16": 3.0,
        "cpu: a processor, fp32, eager, 112 px": 4.0,
    }
    (run,) = of_kind(trained_sweep, "trial")
    assert model.source_run_id == run.info.run_id
    assert (model.name, model.tags["trial_key"], model.status) == (record.key, record.key, "READY")
    assert model.params["depth"] == str(record.params["depth"])
    beneath = of_kind(trained_sweep, "measurement")
    assert {r.data.tags["mlflow.parentRunId"] for r in beneath} == {run.info.run_id}
    (failed,) = (r for r in beneath if r.info.status == "FAILED")
    assert failed.data.tags["efficiency_reason"] == "everything: needs a CUDA device"
    assert not failed.data.metrics
    assert sum(r.info.status == "FINISHED" for r in beneath) == 4


def test_models_are_found_by_what_they_cost_on_a_device(trained_sweep):
    study = trained_sweep.study()
    add(trained_sweep, study.accepted[0], Setting("compile"), answer(latency_ms=1.0))
    measured = costs(trained_sweep, Run())
    measured.measure(study.accepted, unseen)
    measured.publish(study.accepted, trained_sweep.projection())
    client, experiment = trained_sweep.client, model_of(trained_sweep).experiment_id

    def found(mode):
        datasets = [{"dataset_name": f"cpu: a processor, fp32, {mode}"}]
        fast = "metrics.latency_ms < 1.5"
        return len(client.search_logged_models([experiment], fast, datasets=datasets))

    assert (found("compile"), found("eager"), found("cuda_graph")) == (1, 0, 0)


def everything(made):
    """Each run's and model's metrics with their times, and tags, in MLflow."""
    client = made.client
    experiment = client.get_experiment_by_name("linformer").experiment_id
    runs = [
        (
            run.info.run_id,
            run.info.status,
            run.info.end_time,
            run.data.tags,
            name,
            point.to_dictionary(),
        )
        for run in client.search_runs([experiment])
        for name in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, name)
    ]
    models = [model.to_dictionary() for model in client.search_logged_models([experiment])]
    return runs, models


def test_publishing_again_adds_nothing(trained_sweep):
    study = trained_sweep.study()
    add(trained_sweep, study.accepted[0], Setting("compile"), answer(latency_ms=1.0))
    measured = costs(trained_sweep, Run())
    measured.measure(study.accepted, unseen)
    measured.publish(study.accepted, trained_sweep.projection())
    before = everything(trained_sweep)
    costs(trained_sweep, Run()).publish(study.accepted, trained_sweep.projection())
    Costs(Home(trained_sweep.home), trained_sweep.plan).publish(
        study.accepted, trained_sweep.projection()
    )
    assert everything(trained_sweep) == before


@pytest.mark.slow
@pytest.mark.parametrize("lost_after", ["create_logged_model", "create_run", "log_batch"])
def test_a_publishing_that_was_cut_off_is_completed(trained_sweep, monkeypatch, lost_after):
    study = trained_sweep.study()
    measured = costs(trained_sweep, Run())
    measured.measure(study.accepted, unseen)
    client = type(trained_sweep.client)
    whole = getattr(client, lost_after)

    def cut(self, *arguments, **named):
        whole(self, *arguments, **named)
        if lost_after != "log_batch" or getattr(named.get("metrics", [None])[0], "model_id", None):
            raise ConnectionError("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(client, lost_after, cut)
        with pytest.raises(ConnectionError):
            measured.publish(study.accepted, trained_sweep.projection())
    measured.publish(study.accepted, trained_sweep.projection())
    assert list(by_dataset(model_of(trained_sweep))) == ["cpu: a processor, fp32, eager"]
    (run,) = of_kind(trained_sweep, "measurement")
    assert run.info.status == "FINISHED"


def test_a_value_that_changed_is_added_and_is_the_newest(trained_sweep):
    study = trained_sweep.study()
    (record,) = study.accepted
    for latency_ms in (3.0, 2.0):
        add(trained_sweep, record, Setting(), answer(latency_ms=latency_ms))
        for _ in range(2):
            costs(trained_sweep, Run()).publish([record], trained_sweep.projection())
    points = [p for p in model_of(trained_sweep).metrics if p.key == "latency_ms"]
    assert [p.value for p in sorted(points, key=lambda p: p.timestamp)] == [3.0, 2.5]
    (run,) = of_kind(trained_sweep, "measurement")
    assert (run.data.metrics["latency_ms"], run.data.tags["repeats"]) == (2.5, "2")
    assert "latency_ms" not in of_kind(trained_sweep, "trial")[0].data.metrics, "no headline yet"


def test_without_a_way_the_usual_conditions_make_the_headline(empty_sweep):
    """Of equally usual ones the newest; never one trial's of one machine beside another's."""
    study = empty_sweep.study()
    for accuracy in (0.5, 0.25):
        empty_sweep.train(study, [accuracy], State.COMPLETE)
    for device, latency_ms, trials in (
        ("cpu: an old one", 4.0, study.accepted),
        ("cpu: a new one", 3.0, study.accepted),
        ("cpu: the newest", 2.0, study.accepted[:1]),
    ):
        way = Measuring(Run(answer(latency_ms=latency_ms)), device, 2)
        Costs(Home(empty_sweep.home), empty_sweep.plan, way).measure(trials, unseen)
    restored = Costs(Home(empty_sweep.home), empty_sweep.plan)
    assert restored.row(study.accepted[0]) is None, "not known before the trials are"
    restored.publish(study.accepted, empty_sweep.projection())
    assert {record.metrics["latency_ms"] for record in study.accepted} == {3.0}


def test_digests_differ_in_every_condition():
    row = {"device": "cuda: cluster", "device_name": "NVIDIA H200", "threads": None}
    row |= {"precision": "fp32", "training_precision": "fp32", "mode": "eager"}
    row |= {"image_size": 56, "timing_seconds": 1.0, "versions": "{}"}
    name, digest = dataset(row, 56)
    assert name == "cuda: NVIDIA H200, fp32, eager"
    others = [
        dataset(row | {column: other}, 56)[1]
        for column, other in (
            *(("device", "cuda: NVIDIA H200"), ("device_name", "NVIDIA A100"), ("threads", 2)),
            *(("precision", "bf16"), ("training_precision", "bf16"), ("mode", "compile")),
            *(("image_size", 112), ("timing_seconds", 2.0), ("versions", '{"torch": "3"}')),
        )
    ]
    assert len({digest, *others}) == 10
    assert dataset(row | {"model": "vit", "repeats": 3}, 56) == (name, digest)


@pytest.mark.parametrize("result", [{"error": "too large"}])
def test_what_cannot_be_measured_has_a_reason_and_no_numbers(whole_sweep, result):
    record = whole_sweep.study().accepted[0]
    measured = costs(whole_sweep, Run(result))
    measured.measure([record], unseen)
    row = measured.row(record)
    assert row is not None
    assert scalars(row) == {}
    assert tags(row) == {"efficiency_reason": "everything: too large"}


def test_other_load_is_a_tag(whole_sweep):
    record = whole_sweep.study().accepted[0]
    measured = costs(whole_sweep, Run(answer() | {"other_load": True}))
    measured.measure([record], unseen)
    row = measured.row(record)
    assert row is not None
    assert tags(row)["efficiency_other_load"] == "true"
