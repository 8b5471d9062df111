"""A trial that was interrupted, anywhere, ends bit for bit as one that never was."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.trainables.tiny_trial import EPOCHS, assert_same, epoch, finish, log, opened, told
from trainables import checkpoint, records
from trainables.training.learner import Learner
from trainables.trial import Trial

pytestmark = pytest.mark.usefixtures("one_thread")


class Cut(BaseException):
    """Stands for the end of the process."""


def assert_as_whole(whole: dict[str, Any], folder: Path, trial: Trial | None = None) -> None:
    """The trial ended exactly as the one that was never stopped."""
    assert told(log(folder)) == told(whole["lines"])
    ours, theirs = (checkpoint.load(f / "best" / "weights") for f in (folder, whole["folder"]))
    assert_same(ours, theirs)
    confusions = [(f / "confusion.json").read_text() for f in (folder, whole["folder"])]
    assert confusions[0] == confusions[1]
    if trial:
        assert_same(trial.learner.state(), whole["states"][EPOCHS])


@pytest.mark.slow
@pytest.mark.parametrize("stop", range(1, EPOCHS))
def test_stopped_and_reopened_equals_never_stopped(whole, flat, folder, stop):
    trial = opened(flat, folder)
    for _ in range(stop):
        trial.epoch()
    trial = opened(flat, folder, known_epoch=stop)
    assert trial.epochs_done == stop
    assert_same(trial.learner.state(), whole["states"][stop])
    assert told(finish(trial)) == told(whole["lines"][stop:])
    assert_as_whole(whole, folder, trial)


def test_stopped_after_every_epoch(whole, flat, folder):
    for known in range(EPOCHS):
        opened(flat, folder, known).epoch()
    assert_as_whole(whole, folder)
    attempts = records.scan(folder / "attempts.jsonl").sound
    assert [e["epoch"] for e in attempts if e["event"] == "epoch"] == [1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name"), [(Learner, "train"), (Learner, "score"), (checkpoint, "commit")]
)
@pytest.mark.parametrize("number", [1, 3, EPOCHS])
def test_cut_within_an_epoch(whole, flat, folder, monkeypatch, owner, name, number):
    def cut(*_, **__):
        raise Cut

    trial = opened(flat, folder)
    for _ in range(number - 1):
        trial.epoch()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, cut)
        with pytest.raises(Cut):
            trial.epoch()
    assert len(records.scan(folder / "metrics.jsonl").sound) == number - 1
    trial = opened(flat, folder, number - 1)
    assert told(finish(trial)) == told(whole["lines"][number - 1 :])
    assert_as_whole(whole, folder, trial)
    attempts = records.scan(folder / "attempts.jsonl").sound
    begun = [e["epoch"] for e in attempts if e["event"] == "epoch"]
    assert begun == sorted([*range(1, EPOCHS + 1), number])


def test_known_epochs_are_not_answered_again_and_unknown_ones_without_training(
    whole, flat, folder, monkeypatch
):
    trial = opened(flat, folder)
    for _ in range(3):
        trial.epoch()
    trained = []
    train = Learner.train
    monkeypatch.setattr(Learner, "train", lambda self, e: (trained.append(e), train(self, e))[1])
    trial = opened(flat, folder, known_epoch=1)
    assert told([epoch(trial), epoch(trial)]) == told(whole["lines"][1:3])
    assert trained == []
    assert told([epoch(trial)]) == told(whole["lines"][3:])
    assert trained == [4]
    assert_as_whole(whole, folder, trial)


def cut_line(folder: Path, keep: int) -> None:
    """Leave only the first `keep` bytes of the last line of the log."""
    path = folder / "metrics.jsonl"
    *lines, last = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines) + last[:keep])


@pytest.mark.slow
@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_cut_between_commit_and_line(whole, flat, folder, keep):
    trial = opened(flat, folder)
    for _ in range(2):
        trial.epoch()
    cut_line(folder, keep)
    trial = opened(flat, folder, known_epoch=1)
    assert trial.epochs_done == 2
    assert told([epoch(trial)]) == told(whole["lines"][1:2])
    assert [line["epoch"] for line in log(folder)] == [1, 2]
    assert told(finish(trial)) == told(whole["lines"][2:])
    assert_as_whole(whole, folder, trial)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_cut_while_the_last_line_is_written(whole, flat, folder, monkeypatch, keep):
    trial = opened(flat, folder)
    with monkeypatch.context() as patch:  # the commits are dropped after the last line
        patch.setattr(shutil, "rmtree", lambda path, **_: path)
        finish(trial)
    cut_line(folder, keep)
    trial = opened(flat, folder, known_epoch=3)
    assert told([epoch(trial)]) == told(whole["lines"][3:])
    assert_as_whole(whole, folder, trial)


def test_cut_before_any_line(whole, flat, folder):
    opened(flat, folder)
    trial = opened(flat, folder)
    finish(trial)
    assert_as_whole(whole, folder, trial)


def harm(folder: Path, name: str) -> None:
    path = folder / "checkpoints" / name / "state.pt"
    path.write_bytes(path.read_bytes()[:-100])


def test_a_damaged_commit_falls_back_and_is_said(whole, flat, folder):
    trial = opened(flat, folder)
    for _ in range(3):
        trial.epoch()
    harm(folder, "epoch-00003")
    trial = opened(flat, folder, known_epoch=3)
    assert trial.epochs_done == 2
    again, last = finish(trial)
    assert again["epoch"] == 3
    assert "epoch-00003: not the" in again["notes"][0]
    assert "notes" not in last
    assert_as_whole(whole, folder, trial)


def test_without_a_sound_commit_the_trial_begins_anew_and_says_so(whole, flat, folder):
    trial = opened(flat, folder)
    for _ in range(3):
        trial.epoch()
    for name in ("epoch-00002", "epoch-00003"):
        harm(folder, name)
    trial = opened(flat, folder, known_epoch=3)
    assert trial.epochs_done == 0
    first = epoch(trial)
    assert len(first["notes"]) == 2
    trial = opened(flat, folder, known_epoch=1)  # and what it commits then is kept
    assert trial.epochs_done == 1
    finish(trial)
    assert_as_whole(whole, folder, trial)


def test_a_finished_trial_only_answers_again(whole, flat, folder, monkeypatch):
    shutil.copytree(whole["folder"], folder)

    def fail(*_):
        raise AssertionError("built again")

    monkeypatch.setattr("trainables.trial.Learner", fail)
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    trial = opened(flat, folder)
    assert trial.finished
    assert finish(trial) == whole["lines"]
    assert finish(opened(flat, folder, known_epoch=EPOCHS - 1)) == whole["lines"][-1:]
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before
    for known in (0, EPOCHS):
        trial = opened(flat, folder, known)
        for _ in range(EPOCHS - known):
            trial.epoch()
        with pytest.raises(RuntimeError, match="has ended and has no further epoch"):
            trial.epoch()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("epochs", [0, 1, EPOCHS])
def test_a_lane_that_is_not_asked_for_an_epoch_writes_nothing(flat, folder, epochs):
    trial = opened(flat, folder)
    for _ in range(epochs):
        trial.epoch()
    before = files(folder)
    opened(flat, folder)
    assert files(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("begun", range(EPOCHS))
def test_a_lane_takes_over_what_another_has_done_since_it_opened(whole, flat, folder, begun):
    """Tune may start a lane for a trial and then give it to one that has become free."""
    first = opened(flat, folder)
    for _ in range(begun):
        first.epoch()
    late = opened(flat, folder)
    finish(first)
    assert told(finish(late)) == told(whole["lines"])
    assert_as_whole(whole, folder)
    later = opened(flat, folder / "again")
    opened(flat, folder / "again").epoch()
    assert told([epoch(later)]) == told(whole["lines"][:1])
    assert told(finish(later)) == told(whole["lines"][1:])


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_damaged_line_is_replaced_from_the_commit(whole, flat, folder, number):
    trial = opened(flat, folder)
    for _ in range(3):
        trial.epoch()
    path = folder / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1][:30] + b"\xff" + lines[number - 1][31:]
    path.write_bytes(b"".join(lines))
    trial = opened(flat, folder, known_epoch=3)
    assert told(finish(trial)) == told(whole["lines"][3:])
    assert told(log(folder)) == told(whole["lines"])


def test_a_damaged_configuration_is_written_again(whole, flat, folder):
    trial = opened(flat, folder)
    trial.epoch()
    config = (folder / "config.json").read_bytes()
    (folder / "config.json").write_bytes(config[:40])
    assert told(finish(opened(flat, folder, known_epoch=1))) == told(whole["lines"][1:])
    assert (folder / "config.json").read_bytes() == config
