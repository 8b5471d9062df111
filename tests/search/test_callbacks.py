"""A user's functions hear of every epoch and of every pause and end, once."""

import sys

import pytest

from search.callbacks import CallbackError, Callbacks
from search.record import State
from search.sweep_folder import SweepFolder
from search.terminal import chatter_to

METRICS = {"valid_top1": 0.5, "train_loss": 1.0, "notes": ["a note"]}


@pytest.fixture
def heard():
    return []


@pytest.fixture
def study(empty_sweep, heard):
    study = empty_sweep.study()
    calls = Callbacks(
        SweepFolder(empty_sweep.folder),
        lambda trial, epoch, metrics: heard.append((trial.key, epoch, metrics["valid_top1"])),
        lambda trial: heard.append((trial.key, trial.state, trial.reason)),
    )
    study.listeners.append(calls.changed)
    return study


def test_each_epoch_and_the_end(study, heard):
    record = study.next()
    for epoch, value in ((1, 0.25), (2, 0.5)):
        study.report(record.key, epoch, METRICS | {"valid_top1": value})
    study.report(record.key, 2, METRICS)  # said again
    study.finish(record.key, State.FAILED, "a reason")
    assert heard == [
        (record.key, 1, 0.25),
        (record.key, 2, 0.5),
        (record.key, "failed", "a reason"),
    ]


def test_a_pause_and_what_comes_after(study, heard):
    record = study.next()
    study.report(record.key, 1, METRICS)
    study._change(record, State.PAUSED, "paused after epoch 1")
    record.decisions.append({"number": 9, "epoch": 1})
    study._change(record, State.RUNNING)
    study.report(record.key, 2, METRICS)
    assert heard == [
        (record.key, 1, 0.5),
        (record.key, "paused", "paused after epoch 1"),
        (record.key, 2, 0.5),
    ]


def test_what_was_known_before_is_not_told(empty_sweep, heard):
    before = empty_sweep.study()
    record = before.next()
    for epoch in (1, 2):
        before.report(record.key, epoch, METRICS)
    again = empty_sweep.study()
    calls = Callbacks(SweepFolder(empty_sweep.folder), lambda *given: heard.append(given[1]), None)
    again.listeners.append(calls.changed)
    again.report(record.key, 2, METRICS)
    again.report(record.key, 3, METRICS)
    assert heard == [3]


def test_a_trial_that_is_told_of_does_not_change(study, empty_sweep):
    trials = []
    calls = Callbacks(SweepFolder(empty_sweep.folder), lambda trial, *_: trials.append(trial), None)
    study.listeners.append(calls.changed)
    record = study.next()
    study.report(record.key, 1, METRICS)
    study.report(record.key, 2, METRICS | {"valid_top1": 0.75})
    first, second = trials
    assert (first.epoch, first.value, first.state) == (1, 0.5, "running")
    assert (second.epoch, second.value) == (2, 0.75)
    assert first.metrics == {"valid_top1": 0.5, "train_loss": 1.0}, "numbers alone"
    assert first.folder == empty_sweep.folder / "trials" / record.key


def test_an_error_is_not_one_that_tune_would_take_for_the_trials(empty_sweep):
    study = empty_sweep.study()
    calls = Callbacks(SweepFolder(empty_sweep.folder), lambda *_: 1 / 0, None)
    study.listeners.append(calls.changed)
    record = study.next()
    with pytest.raises(CallbackError) as caught:
        study.report(record.key, 1, METRICS)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert not isinstance(caught.value, Exception)
    (found,) = empty_sweep.study().accepted
    assert (found.epoch, found.state) == (1, State.RUNNING), "the study knows the epoch"


def test_what_it_prints_is_seen_though_the_output_goes_to_a_log(
    tmp_path, capfd, empty_sweep, monkeypatch
):
    for name, descriptor in (("stdout", 1), ("stderr", 2)):  # as they are outside of tests
        # the descriptor stays open, and the stream lives as long as the test
        stream = open(descriptor, "w", buffering=1, closefd=False)  # noqa: SIM115
        monkeypatch.setattr(sys, name, stream)

    def told(_trial, epoch, _metrics):
        print("heard", epoch)  # noqa: T201 - prints are what is tested
        sys.stderr.write("trouble\n")

    study = empty_sweep.study()
    calls = Callbacks(SweepFolder(empty_sweep.folder), told, None)
    study.listeners.append(calls.changed)
    record = study.next()
    with calls.heard(), chatter_to(tmp_path / "log"):
        print("chatter", flush=True)  # noqa: T201 - likewise
        study.report(record.key, 1, METRICS)
    said = capfd.readouterr()
    assert "heard 1" in said.out
    assert "chatter" not in said.out
    assert "trouble" in said.err
    assert "chatter" in (tmp_path / "log").read_text()


def test_without_functions_there_is_nothing_to_call(tmp_path):
    assert not Callbacks(SweepFolder(tmp_path), None, None)
    assert Callbacks(SweepFolder(tmp_path), None, print)
