"""The weights of a trial's best epoch: where they are, and how they outlive its commits."""

from typing import Any

from trainables import checkpoint
from trainables.trial_folder import TrialFolder


def best(files: TrialFolder) -> dict[str, Any] | None:
    """The `epoch`, the `valid_top1` and the `model`'s weights of the best epoch so far.

    They are kept apart when a trial is complete, or was stopped and its weights were wanted; before
    that they are in its newest commit that is whole. None if they are nowhere.
    """
    if checkpoint.damage(files.best) is None:
        return checkpoint.load(files.best)
    name, _ = checkpoint.latest(files.checkpoints)
    found = checkpoint.load(files.checkpoints / name)["best"] if name else None
    return found if found and found["model"] else None


def keep(files: TrialFolder) -> None:
    """Keep the best weights apart, so that the commits are no longer needed for them."""
    if (found := best(files)) is not None:
        checkpoint.commit(files.best.parent, files.best.name, found, keep=1)
