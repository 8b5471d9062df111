"""The study's verdicts as Tune's scheduler, and what an error becomes; no Ray is started."""

import dataclasses
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from search.record import State
from search.stopping import StudyStopping


class Trial(SimpleNamespace):
    """What the scheduler looks at of a trial of Tune."""

    config: dict[str, Any]
    error_file: str | None
    restarts_left: int

    def should_recover(self) -> bool:
        return self.restarts_left > 0


def trial_of(record, error_file=None, restarts_left=0):
    config = {"trial_key": record.key}
    return Trial(config=config, error_file=error_file, restarts_left=restarts_left)


@pytest.fixture
def study(empty_sweep):
    """Three epochs are the most, so that the first is a rung of successive halving."""
    empty_sweep.plan = dataclasses.replace(empty_sweep.plan, pruner="halving")
    return empty_sweep.study()


@pytest.fixture
def pausing(empty_sweep):
    empty_sweep.plan = dataclasses.replace(empty_sweep.plan, pruner="pause-halving")
    return empty_sweep.study()


def said(study, record, epoch, valid_top1):
    result = {"epoch": epoch, "valid_top1": valid_top1, "training_iteration": 99}
    return StudyStopping(study).on_trial_result(None, trial_of(record), result)


def test_the_pruner_stops_what_is_far_behind_and_only_that(study):
    good = [study.next() for _ in range(3)]
    for record, value in zip(good, (0.9, 0.8, 0.7), strict=True):
        said(study, record, 1, value)
    poor = study.next()
    assert said(study, good[0], 2, 0.9) == TrialScheduler.CONTINUE
    assert said(study, poor, 1, 0.1) == TrialScheduler.STOP
    assert study.records[poor.key].epoch == 1, "time is the epoch, not Tune's iteration"


def test_a_trial_pauses_at_a_rung_and_tune_ends_it_there(pausing):
    """So its lane is free for another; the study goes on with it as a new trial of Tune."""
    first, second = pausing.next(), pausing.next()
    for record, value in ((first, 0.9), (second, 0.1)):
        assert said(pausing, record, 1, value) == TrialScheduler.STOP
        assert said(pausing, record, 1, value) == TrialScheduler.STOP, "said again"
        assert record.state == State.PAUSED
    promoted = pausing.next()
    assert promoted.key == first.key
    assert said(pausing, promoted, 2, 0.9) == TrialScheduler.CONTINUE
    assert said(pausing, promoted, 3, 0.9) == TrialScheduler.CONTINUE, "its end is its own"
    assert pausing.records[second.key].state == State.PAUSED


def test_an_epoch_that_is_said_again_keeps_its_verdict(study):
    records = [study.next() for _ in range(4)]
    for record, value in zip(records, (0.9, 0.8, 0.7, 0.1), strict=True):
        first = said(study, record, 1, value)
        assert said(study, record, 1, value) == first
    assert study.records[records[0].key].value == 0.9


def test_the_last_error_ends_a_trial_and_earlier_ones_do_not(study, tmp_path):
    record = study.next()
    errors = tmp_path / "error.txt"
    errors.write_text("Traceback\n  a line\nWorkerCrashedError: killed\n\n")
    stopping = StudyStopping(study)
    stopping.on_trial_error(None, trial_of(record, str(errors), restarts_left=1))
    assert study.records[record.key].state == State.RUNNING, "Tune restarts it"
    stopping.on_trial_error(None, trial_of(record, str(errors)))
    found = study.records[record.key]
    assert (found.state, found.reason) == (State.FAILED, "WorkerCrashedError: killed")


@pytest.mark.parametrize("noted", [None, "", "missing"])
def test_an_error_without_words(study, tmp_path, noted):
    record = study.next()
    file = tmp_path / "error.txt"
    if noted == "":
        file.write_text("")
    where = None if noted is None else str(file)
    StudyStopping(study).on_trial_error(None, trial_of(record, where))
    assert study.records[record.key].reason == "its worker died"


def test_tune_pickles_nothing_of_it(study):
    assert vars(pickle.loads(pickle.dumps(StudyStopping(study)))) == {}
