"""What a training took, from lines written by hand and from a trial's own."""

import math

import pytest

from tests.trainables.tiny_trial import finish, opened
from trainables import records, trial_log
from trainables.metrics import TRAINING_TIME
from trainables.training_time import of_folder, training_time
from trainables.trial_folder import TrialFolder
from trainables.trial_log import Line

TWO_GPUS = {"count": 2, "device": "cuda"}
CPU = {"count": 1, "device": "cpu"}
ON_GPUS = {"gpu_hours", "finetune_gpu_hours_per_epoch"}


def trained(*seconds):
    """Lines of epochs that trained for `seconds`, validated for a tenth of it, and ended then."""
    return [
        Line(
            epoch=epoch,
            metrics={"train_seconds": s, "valid_seconds": s / 10},
            ended_unix_s=1000.0 * epoch,
        )
        for epoch, s in enumerate(seconds, 1)
    ]


def attempts(*events):
    """Lines of `attempts.jsonl`: (event, epoch, second of the day)."""
    return [
        {"at": f"1970-01-01T00:{at // 60:02}:{at % 60:02}+00:00", "event": event, "epoch": epoch}
        for event, epoch, at in events
    ]


def straight(count):
    return attempts(("open", 0, 0), *(("epoch", epoch, epoch) for epoch in range(1, count + 1)))


def test_gpu_hours_count_every_epoch_and_every_gpu_and_no_evaluation():
    values, reasons = training_time(trained(1200, 600, 600, 1200), straight(4), TWO_GPUS)
    assert values.keys() == TRAINING_TIME.keys()
    assert reasons == {}
    assert values["gpu_hours"] == values["worker_hours"] == values["worker_hours_paid"] == 2.0
    assert values["finetune_gpu_hours_per_epoch"] == 0.5
    assert {TRAINING_TIME[name].unit for name in values if "hours" in name} == {"h"}


def test_medians_leave_out_the_warm_up():
    values, _ = training_time(trained(90, 10, 30, 20), straight(4), CPU)
    assert values["train_seconds_per_epoch"] == 20
    assert values["evaluation_seconds_per_epoch"] == 2


def test_after_a_restart_an_epoch_is_warm_up_again():
    events = [("open", 0, 0), ("epoch", 1, 1), ("epoch", 2, 2), ("open", 2, 3)]
    events += [("epoch", 3, 4), ("epoch", 4, 5)]
    values, _ = training_time(trained(90, 10, 90, 20), attempts(*events), CPU)
    assert values["train_seconds_per_epoch"] == 15


def test_a_lone_epoch_counts_though_it_holds_the_warm_up():
    values, _ = training_time(trained(90), straight(1), CPU)
    assert values["train_seconds_per_epoch"] == 90


def test_without_a_gpu_there_are_no_gpu_hours_and_a_reason():
    values, reasons = training_time(trained(1800, 1800), straight(2), CPU)
    assert reasons == dict.fromkeys(ON_GPUS, "trained on the CPU")
    assert values.keys() == TRAINING_TIME.keys() - ON_GPUS
    assert values["worker_hours"] == 1.0


@pytest.mark.parametrize(("gap", "lost"), [(5, 5), (3000, 36)])
def test_an_epoch_trained_twice_counts_once_and_is_paid_twice(gap, lost):
    """It was cut off before the next start, and took no longer than it did then."""
    events = [("open", 0, 0), ("epoch", 1, 1), ("epoch", 2, 100), ("open", 1, 100 + gap)]
    events += [("epoch", 2, 101 + gap)]
    values, _ = training_time(trained(36, 36), attempts(*events), TWO_GPUS)
    assert values["worker_hours"] == pytest.approx(2 * 72 / 3600)
    assert values["worker_hours_paid"] == pytest.approx(2 * (72 + lost) / 3600)


def test_an_epoch_whose_loss_was_not_finite_was_paid():
    lines = [*trained(36), Line(epoch=2, state="failed", ended_unix_s=60.0)]
    events = attempts(("open", 0, 0), ("epoch", 1, 1), ("epoch", 2, 40))
    values, _ = training_time(lines, events, CPU)
    assert values["worker_hours"] == pytest.approx(36 / 3600)
    assert values["worker_hours_paid"] == pytest.approx((36 + 20) / 3600)


def test_what_nobody_saw_the_end_of_cannot_be_told():
    events = attempts(("open", 0, 0), ("epoch", 1, 1), ("epoch", 2, 40))
    values, reasons = training_time(trained(36), events, CPU)
    assert "worker_hours_paid" not in values
    assert reasons["worker_hours_paid"] == "it is not known when an interrupted epoch ended"
    assert values["worker_hours"] == pytest.approx(36 / 3600)


def test_without_any_time_there_is_none():
    with pytest.raises(ValueError, match="no epoch was trained to its end"):
        training_time([Line(epoch=1, ended_unix_s=1.0)], straight(1), CPU)


@pytest.mark.usefixtures("one_thread")
def test_of_a_trial_that_was_interrupted(flat, folder):
    opened(flat, folder).epoch()
    finish(opened(flat, folder, known_epoch=1))
    lines = trial_log.read(folder / "metrics.jsonl")
    events = records.scan(folder / "attempts.jsonl").sound
    values, reasons = training_time(lines, events, CPU)
    assert reasons.keys() == ON_GPUS
    whole = sum(line.metrics["train_seconds"] for line in lines)
    assert values["worker_hours"] == pytest.approx(whole / 3600)
    assert values["worker_hours_paid"] == values["worker_hours"]
    assert all(math.isfinite(value) and value > 0 for value in values.values())


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_a_folder_that_does_not_tell_its_workers_has_reasons(tmp_path, content):
    if content is not None:
        (tmp_path / "provenance.json").write_text(content)
    values, reasons = of_folder(TrialFolder(tmp_path), [])
    assert values == {}
    assert reasons.keys() == TRAINING_TIME.keys()
    assert "does not say who trained the trial" in reasons["worker_hours"]
