"""A limit on what the trials of a sweep have on disk; nothing is trained."""

import dataclasses
import os
from collections import namedtuple

import pytest
import torch

from search import disk
from search.record import State
from search.samplers import DEFAULT
from search.sweep_folder import SweepFolder
from trainables import checkpoint, weights

COMMIT = 100_000  # bytes, about


def commit(files, epoch, size=COMMIT):
    best = {"epoch": epoch, "valid_top1": 0.5, "model": {"w": torch.full((10,), float(epoch))}}
    state = {"best": best, "optimiser": torch.zeros(size // 4)}
    checkpoint.commit(files.checkpoints, f"epoch-{epoch:05d}", state, keep=2)


class Followed:
    """A study whose trials write commits of about 100 kB, with a limit on them."""

    def __init__(self, made, limit, keep_weights=False):
        self.plan = dataclasses.replace(made.plan, sampler=DEFAULT, pruner=None, trials=9)
        made.plan = self.plan
        self.folder, self.study, self.told = SweepFolder(made.folder), made.study(), []
        self.study.listeners.append(
            lambda r: disk.tidy(self.files(r), r.state, keep_weights=keep_weights)
        )
        self.room = disk.Room(self.study, self.plan, self.folder, limit, self.told.append)
        self.study.listeners.append(self.room.changed)

    def files(self, record):
        return self.folder.trial(record.key)

    def pause(self, value, age=0.0):
        """A trial that pauses after its first epoch, with this value; maybe some time ago."""
        record = self.study.next()
        commit(self.files(record), 1)
        os.utime(self.files(record).checkpoints, (1e9 - age, 1e9 - age))
        assert self.study.report(record.key, 1, {"valid_top1": value})
        return record

    def has_commit(self, record):
        return bool(checkpoint.commits(self.files(record).checkpoints))


@pytest.fixture
def follow(empty_sweep):
    return lambda *given, **more: Followed(empty_sweep, *given, **more)


def test_within_the_limit_nothing_gives_way(follow):
    sweep = follow(10 * COMMIT)
    paused = [sweep.pause(0.1 * n) for n in range(3)]
    assert all(sweep.has_commit(record) for record in paused)
    assert 3 * COMMIT < sweep.room.used < 3.2 * COMMIT
    assert not sweep.told


def test_the_worst_paused_trial_gives_way_and_is_stopped_with_the_reason(follow):
    sweep = follow(2.5 * COMMIT)
    good, bad, fair = (sweep.pause(value) for value in (0.9, 0.1, 0.5))
    assert [sweep.has_commit(record) for record in (good, bad, fair)] == [True, False, True]
    assert bad.state == State.STOPPED
    assert bad.reason == "paused after epoch 1, and its commit gave way to the disk limit"
    assert sweep.told == [f"note: {bad.key} is stopped: {bad.reason} of 244.1 KiB"]
    assert (good.state, fair.state) == (State.PAUSED, State.PAUSED)
    (stored,) = [r for r in sweep.study.stored().values() if r.number == bad.number]
    assert stored.user_attrs["state"] == "stopped"


def test_of_equal_ones_the_oldest_gives_way(follow):
    sweep = follow(2.5 * COMMIT)
    _, older, _ = (sweep.pause(0.5, age) for age in (10.0, 1000.0, 0.0))
    assert [r.key for r in sweep.study.accepted if r.state == State.STOPPED] == [older.key]


def test_the_trial_that_has_just_paused_may_be_the_one(follow):
    sweep = follow(1.5 * COMMIT)
    good, bad = sweep.pause(0.9, age=0.0), sweep.pause(0.1, age=10.0)
    assert (good.state, bad.state) == (State.PAUSED, State.STOPPED)
    assert not sweep.study.running


def test_what_gave_way_is_never_promoted(follow):
    sweep = follow(1.5 * COMMIT)
    stopped = {sweep.pause(0.9).key} | {sweep.pause(0.1, 10.0).key for _ in range(3)}
    stopped = {r.key for r in sweep.study.accepted if r.state == State.STOPPED}
    assert len(stopped) == 3
    for _ in range(4):
        record = sweep.study.next()
        assert record is not None
        assert record.key not in stopped


def test_a_running_trial_never_gives_way(follow):
    sweep = follow(0.5 * COMMIT)
    record = sweep.study.next()
    commit(sweep.files(record), 1)
    sweep.room.changed(record)
    for _ in range(2):
        other = sweep.study.next()
        sweep.study.finish(other.key, State.FAILED, "a reason")
    assert sweep.has_commit(record)
    assert record.state == State.RUNNING
    assert len(sweep.told) == 1
    assert "nothing of it can give way" in sweep.told[0]


def test_weights_of_a_complete_trial_never_give_way(follow):
    sweep = follow(10)
    record = sweep.study.next()
    commit(sweep.files(record), 1)
    weights.keep(sweep.files(record))
    checkpoint.trim(sweep.files(record).checkpoints, keep=0)
    sweep.study.report(record.key, 3, {"valid_top1": 0.5})
    sweep.study.finish(record.key, State.COMPLETE, metrics={"valid_top1": 0.5})
    assert checkpoint.damage(sweep.files(record).best) is None


def test_leftovers_of_failed_trials_give_way_before_paused_ones(follow):
    sweep = follow(1.5 * COMMIT)
    failed = sweep.study.next()
    commit(sweep.files(failed), 1)
    sweep.study.finish(failed.key, State.FAILED, "a reason")
    assert sweep.has_commit(failed)
    paused = sweep.pause(0.1)
    assert not sweep.has_commit(failed)
    assert failed.state == State.FAILED
    assert sweep.has_commit(paused)


@pytest.mark.parametrize("wanted", [True, False])
def test_best_weights_of_a_stopped_trial_are_kept_if_wanted(follow, wanted):
    sweep = follow(2.5 * COMMIT, keep_weights=wanted)
    bad = [sweep.pause(value) for value in (0.9, 0.1, 0.5)][1]
    assert bad.state == State.STOPPED
    assert not sweep.has_commit(bad)
    found = weights.best(sweep.files(bad))
    assert (found is not None) == wanted
    if found:
        assert found["epoch"] == 1
        assert torch.equal(found["model"]["w"], torch.ones(10))


def test_kept_weights_give_way_before_a_paused_trial(follow):
    sweep = follow(2 * COMMIT, keep_weights=True)
    good = sweep.pause(0.9)
    sweep.room.limit = sweep.room.used + 500
    bad = sweep.pause(0.1, 10.0)
    assert sweep.has_commit(good)
    assert bad.state == State.STOPPED
    assert weights.best(sweep.files(bad)) is None


def test_without_a_limit_it_is_a_share_of_what_is_free(follow, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage(100, 40, 60))
    assert follow(None).room.limit == 60 * disk.SHARE


def test_a_sweep_that_goes_on_knows_what_its_trials_have(follow, empty_sweep):
    sweep = follow(10 * COMMIT)
    records = [sweep.pause(0.1 * n) for n in range(3)]
    again = Followed(empty_sweep, 2.5 * COMMIT)
    assert again.room.used == sweep.room.used
    best = sweep.pause(0.9)  # by the first driver; the second looks at the next change
    again.room.changed(again.study.records[records[2].key])
    states = {r.key: r.state for r in again.study.accepted}
    assert states[records[0].key] == State.STOPPED
    assert best.state == State.PAUSED


def test_best_weights_are_found_where_they_are(tmp_path):
    files = SweepFolder(tmp_path).trial("one")
    assert weights.best(files) is None
    commit(files, 1)
    commit(files, 2)
    found = weights.best(files)
    assert found is not None
    assert found["epoch"] == 2
    (files.checkpoints / "epoch-00002" / "state.pt").write_bytes(b"damaged")
    older = weights.best(files)
    assert older is not None
    assert older["epoch"] == 1
