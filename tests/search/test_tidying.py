"""What a trial that does not run leaves on disk; no Ray is started."""

from types import SimpleNamespace

import pytest
import torch

from search.driver import Sweep
from search.record import State
from search.sweep_folder import SweepFolder
from trainables import checkpoint


@pytest.fixture
def followed(empty_sweep):
    """A study whose changes are tidied up after, and the place of a trial's commits."""
    folder = SweepFolder(empty_sweep.folder)
    sweep = SimpleNamespace(request=SimpleNamespace(folder=folder, keep_weights=False))
    study = empty_sweep.study()
    study.listeners.append(lambda record: Sweep._tidy(sweep, record))
    return study, lambda record: folder.trial(record.key)


def write(trial, epochs):
    for epoch in range(1, epochs + 1):
        state = {"epoch": epoch, "model": torch.arange(4)}
        checkpoint.commit(trial.checkpoints, f"{epoch:05d}", state, keep=2)
    checkpoint.commit(trial.path / "best", "weights", {"model": torch.arange(4)}, keep=1)
    trial.metrics.write_text("kept\n")


@pytest.mark.parametrize(
    ("state", "left"),
    [
        (State.PAUSED, ["00003"]),
        (State.STOPPED, []),
        (State.COMPLETE, ["00002", "00003"]),
        (State.FAILED, ["00002", "00003"]),
    ],
)
def test_what_is_left_of_its_commits(followed, state, left):
    study, trial_of = followed
    record = study.next()
    trial = trial_of(record)
    write(trial, 3)
    if state == State.PAUSED:
        study._change(record, state, "paused after epoch 3")
    else:
        study.finish(record.key, state, "a reason", {"valid_top1": 0.5})
    assert checkpoint.commits(trial.checkpoints) == left
    assert trial.checkpoints.exists() == bool(left)
    assert checkpoint.commits(trial.path / "best") == ["weights"]
    assert trial.metrics.read_text() == "kept\n"


def test_a_running_trial_is_left_alone(followed):
    study, trial_of = followed
    record = study.next()
    write(trial_of(record), 3)
    study.report(record.key, 1, {"valid_top1": 0.5})
    assert checkpoint.commits(trial_of(record).checkpoints) == ["00002", "00003"]


def test_the_study_knows_of_a_pause_before_anything_is_removed(followed):
    """A driver that is killed in between goes on with a trial whose commits are all there."""
    study, trial_of = followed
    record = study.next()
    write(trial_of(record), 3)
    study.listeners.insert(0, lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        study._change(record, State.PAUSED, "paused after epoch 3")
    (frozen,) = study._study.get_trials()
    assert frozen.user_attrs["state"] == "paused"
    assert checkpoint.commits(trial_of(record).checkpoints) == ["00002", "00003"]
