"""Hours and GPU hours of a sweep, over all its drivers."""

import optuna
import pytest

from search import clock
from search.clock import Clocks
from search.record import Record, State
from search.sweep_folder import SweepFolder
from trainables.errors import ResourceError


class Time:
    now = 1000.0

    def time(self):
        return self.now


@pytest.fixture
def passing(monkeypatch):
    found = Time()
    monkeypatch.setattr(clock, "time", found)
    return found


@pytest.fixture
def stored():
    return optuna.create_study(study_name="sweep")


def record(state=State.PAUSED, epoch=1, **metrics):
    return Record(0, "00000-abc", {}, state, epoch=epoch, metrics=metrics)


def test_hours_of_all_drivers_count(passing, stored, make_plan, tmp_path):
    plan, folder = make_plan(hours=2.0), SweepFolder(tmp_path)
    first = Clocks(stored, plan, folder)
    passing.now += 9000
    assert first.hours.spent == 0, "it has not begun"
    first.begin(0)
    passing.now += 3600
    first.hours.changed(record())
    passing.now += 1800  # of which nothing is noted: it was killed
    assert first.hours() == ""
    second = Clocks(stored, plan, folder)
    assert second.hours.spent == 1.0
    second.begin(0)
    passing.now += 3599
    assert second.hours() == ""
    assert second.hours.left_seconds == pytest.approx(1)
    passing.now += 1
    assert second.hours() == "the 2 h of the sweep are over"
    assert Clocks(stored, plan, folder).hours() == ""
    second.hours.changed(record(State.STOPPED))
    assert Clocks(stored, plan, folder).hours() == "the 2 h of the sweep are over"


@pytest.mark.usefixtures("passing")
def test_an_epoch_that_only_runs_is_not_noted(stored, make_plan, tmp_path):
    found = Clocks(stored, make_plan(hours=1.0), SweepFolder(tmp_path))
    found.begin(0)
    found.hours.changed(record(State.RUNNING))
    assert "drivers" not in stored.user_attrs


def test_gpu_hours_are_epochs_times_gpus(stored, make_plan, write_trial, tmp_path):
    """A made-up epoch takes 1.5 s and .5 s."""
    folder = SweepFolder(tmp_path)
    write_trial(folder.trial("00000-abc").path, [0.5, 0.6])
    plan = make_plan(gpu_hours=0.01)
    found = Clocks(stored, plan, folder)
    found.begin(4)
    assert found.gpu_hours.spent == pytest.approx(4 * 4 / 3600)
    found.gpu_hours.changed(record(epoch=2, train_seconds=9.0))
    assert found.gpu_hours.spent == pytest.approx(4 * 4 / 3600), "an epoch counts once"
    found.gpu_hours.changed(record(epoch=3, train_seconds=4.0, valid_seconds=1.0))
    assert found.gpu_hours.spent == pytest.approx(4 * 9 / 3600)
    assert found.gpu_hours() == "the 0.01 GPU hours are spent"
    assert Clocks(stored, plan, folder).gpu_hours.spent == pytest.approx(4 * 4 / 3600)


def test_gpu_hours_need_gpus(stored, make_plan, tmp_path):
    found = Clocks(stored, make_plan(gpu_hours=1.0), SweepFolder(tmp_path))
    with pytest.raises(ResourceError, match="--gpu-hours needs GPUs"):
        found.begin(0.0)
