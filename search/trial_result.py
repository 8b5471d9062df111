"""A trial as Python's callers see it: nothing of it changes any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search.record import Record
from search.sweep_folder import SweepFolder
from spaces.space import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """A trial, as it is when this is made.

    Attributes:
        key: its name, which its folder has, too.
        number: counts the suggestions of the sweep.
        params: all hyperparameters, those that were held constant among them.
        state: `running`, `paused`, `complete`, `stopped`, `failed` or `infeasible`.
        reason: why it is in that state, if that needs one.
        epoch: how many epochs it has been trained.
        value: the first objective: of a complete trial the value that counts, else the best so far;
            None before the first epoch.
        values: all objectives by name, as far as they are known.
        metrics: those of the last epoch, and those that the trial has one number of (test scores,
            times, parameters, GFLOPs, latency), by their names in `trainables.metrics`.
        folder: where its files are.
        repeat_of: the key of the trial that it repeats with another seed, or nothing.
    """

    key: str
    number: int
    params: Mapping[str, Value]
    state: str
    reason: str
    epoch: int
    value: float | None
    values: Mapping[str, float]
    metrics: Mapping[str, float]
    folder: Path
    repeat_of: str = ""

    @classmethod
    def of(
        cls,
        record: Record,
        folder: SweepFolder,
        metrics: Mapping[str, float] | None = None,
        values: Mapping[str, float] | None = None,
    ) -> "TrialResult":
        """The trial that a study has a `record` of, with its `metrics` and objectives' `values`."""
        known = record.metrics if metrics is None else metrics
        numbers = {n: v for n, v in known.items() if isinstance(v, (int, float))}
        return cls(
            key=record.key,
            number=record.number,
            params=dict(record.params),
            state=record.state.value,
            reason=record.reason,
            epoch=record.epoch,
            value=record.value,
            values=dict(values or {}),
            metrics=numbers,
            folder=folder.trial(record.key).path,
            repeat_of=record.repeat_of,
        )
