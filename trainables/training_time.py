"""How long the training of a trial took, from the lines of its folder.

Times are wall times of the training part of epochs. Validation has times of its own; commits and
the final test are not included. An epoch that was trained twice after a crash counts once, with the
time of its line. The first epoch after each opening of the trial includes its warm-up (kernels are
chosen, caches fill, memory is reserved): sums include it, medians only if there is no other epoch.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple

from trainables.metrics import TRAINING_TIME
from trainables.trial_folder import TrialFolder
from trainables.trial_log import Line, scan_attempts

Event = Mapping[str, Any]  # one line of `attempts.jsonl`
Metrics = Mapping[str, float]  # those of one epoch

_SECONDS = 3600  # of an hour


class TrainingTime(NamedTuple):
    """Numbers by their names in `trainables.metrics.TRAINING_TIME`, and why some are missing."""

    values: dict[str, float]
    reasons: dict[str, str]


def epoch_seconds(metrics: Metrics) -> float:
    """What an epoch took, training and validation; 0 where its metrics say nothing of it."""
    return metrics.get("train_seconds", 0.0) + metrics.get("valid_seconds", 0.0)


def of_folder(folder: TrialFolder, lines: Sequence[Line]) -> TrainingTime:
    """The times of the trial in `folder`, whose `metrics.jsonl` has these `lines`.

    If the folder does not say who trained in it, a reason takes the place of the times.
    """
    try:
        workers = json.loads(folder.provenance.read_text())["workers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"provenance.json does not say who trained the trial ({type(error).__name__})"
        return TrainingTime({}, dict.fromkeys(TRAINING_TIME, why))
    try:
        return training_time(lines, scan_attempts(folder.attempts).sound, workers)
    except (KeyError, TypeError, ValueError) as error:  # as damaged lines leave them
        why = f"the trial's lines do not tell it ({type(error).__name__}: {error})"
        return TrainingTime({}, dict.fromkeys(TRAINING_TIME, why))


def training_time(
    lines: Sequence[Line], attempts: Sequence[Event], workers: Mapping[str, Any]
) -> TrainingTime:
    """The times of a trial.

    GPU-hours per epoch are those of section A.4 of "Which Transformer to Favor": the training time
    of an epoch times the number of GPUs, as the mean of all epochs. On a CPU there are none.

    Args:
        lines: those of its `metrics.jsonl`.
        attempts: those of its `attempts.jsonl`.
        workers: that entry of its `provenance.json`: their `count` and `device` at its last start.

    Raises:
        ValueError: no line has a time.
    """
    timed = {line.epoch: line.metrics for line in lines if "train_seconds" in line.metrics}
    if not timed:
        raise ValueError("no epoch was trained to its end")
    steady = _steady(timed, attempts)
    kept = sum(metrics["train_seconds"] for metrics in timed.values())
    hours = kept * workers["count"] / _SECONDS
    values = {
        "train_seconds_per_epoch": median(metrics["train_seconds"] for metrics in steady),
        "evaluation_seconds_per_epoch": median(metrics["valid_seconds"] for metrics in steady),
        "worker_hours": hours,
    }
    reasons = {}
    lost = _lost_seconds(timed, {line.epoch: line.ended_unix_s for line in lines}, attempts)
    if lost is None:
        reasons["worker_hours_paid"] = "it is not known when an interrupted epoch ended"
    else:
        values["worker_hours_paid"] = hours + lost * workers["count"] / _SECONDS
    if workers["device"] == "cuda":
        values |= {"gpu_hours": hours, "finetune_gpu_hours_per_epoch": hours / len(timed)}
    else:
        why = f"trained on the {workers['device'].upper()}"
        reasons |= dict.fromkeys(("gpu_hours", "finetune_gpu_hours_per_epoch"), why)
    return TrainingTime(values, reasons)


def _steady(timed: Mapping[int, Metrics], attempts: Sequence[Event]) -> list[Metrics]:
    """The epochs without a warm-up, or all epochs if each has one."""
    opened = {event["epoch"] for event in attempts if event["event"] == "open"} | {0}
    steady = [metrics for epoch, metrics in timed.items() if epoch - 1 not in opened]
    return steady or list(timed.values())


def _lost_seconds(
    timed: Mapping[int, Metrics], ended: Mapping[int, float], attempts: Sequence[Event]
) -> float | None:
    """An upper bound of the training time that no line accounts for; None if it is not known.

    An interrupted epoch trained no longer than it did when it was repeated, and not beyond the next
    event. An epoch that ended the trial by a failure lasted until its line, which has no times.
    """
    lost = 0.0
    last = {e["epoch"]: number for number, e in enumerate(attempts) if e["event"] == "epoch"}
    for number, event in enumerate(attempts):
        epoch = event["epoch"]
        if event["event"] != "epoch" or (number == last[epoch] and epoch in timed):
            continue
        begun = _unix_s(event)
        if number == last[epoch] and epoch in ended:
            lost += ended[epoch] - begun
        elif number < last[epoch] and epoch in timed:
            until_next = _unix_s(attempts[number + 1]) - begun
            lost += min(until_next, timed[epoch]["train_seconds"])
        else:
            return None
    return lost


def _unix_s(event: Event) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()
