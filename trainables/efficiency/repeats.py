"""Subjects measured in every precision and mode, several times, each in a fresh process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from trainables.efficiency.execution import Setting
from trainables.efficiency.results import Identity, Results, Row
from trainables.efficiency.subjects import Subject

Progress = Callable[[int, int], None]
REPEATS = 5
# passes of one image, timed one by one and in a row, differ by what starting one costs
_FACTOR = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What all measurements of a command have in common.

    Attributes:
        device: what is measured on, such as `cuda: NVIDIA H200`.
        threads: PyTorch's threads on the CPU; None means as many as the environment says.
        timing_seconds: the time for timing in each measurement.
        versions: those of the software.
        metrics: those that are measured, of the catalogue; all if it is empty.
    """

    device: str
    threads: int | None
    timing_seconds: float
    versions: Mapping[str, str]
    metrics: tuple[str, ...] = ()

    def of(self, subject: Subject, setting: Setting) -> Identity:
        """The identity of a measurement of `subject` in `setting` under these conditions."""
        return Identity(
            model=subject.model,
            params=subject.params,
            image_size=subject.image_size,
            num_classes=subject.num_classes,
            device=self.device,
            threads=self.threads,
            precision=setting.precision,
            training_precision=setting.training_precision,
            mode=setting.mode,
            timing_seconds=self.timing_seconds,
            versions=self.versions,
            metrics=self.metrics,
        )


@dataclass(slots=True)
class _Pending:
    """What is to be measured, and how many times are left."""

    subject: Subject
    identity: Identity
    repeats: int


def measure_repeatedly(
    subjects: Sequence[Subject],
    results: Results,
    run: Callable[..., dict[str, Any]],
    conditions: Conditions,
    *,
    settings: Sequence[Setting],
    repeats: int = REPEATS,
    retry_failed: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> None:
    """Measure until `results` have `repeats` answers for every subject in every setting.

    Everything is measured once before anything is measured a second time: so an interrupted run has
    seen everything, and a slow drift of the machine shows in the spread. A failure, or an exception
    of `run`, ends the repeats of its subject in that setting; the row has the reason. An answer
    that contradicts itself is asked for once more, and marked as disturbed by other load if it does
    so again.

    Args:
        subjects: the models to measure.
        results: where answers are added. What is already there is not measured again.
        run: `run(model, params, image_size=, num_classes=, threads=, seconds=, precision=,
            training_precision=, mode=, metrics=)` is `measure_fresh`, or calls it, on the device
            of the conditions.
        conditions: what all measurements have in common.
        settings: how each subject runs while it is measured.
        repeats: how many answers there should be.
        retry_failed: measure again what failed before.
        progress: is called with (done, total) measurements.
    """
    pending: dict[str, _Pending] = {}
    for subject, setting in product(subjects, settings):
        identity = conditions.of(subject, setting)
        missing = _missing(results.get(identity), repeats, retry_failed)
        if missing and identity.key not in pending:
            pending[identity.key] = _Pending(subject, identity, missing)
    done, total = 0, sum(one.repeats for one in pending.values())
    progress(done, total)
    while unfinished := [one for one in pending.values() if one.repeats]:
        for one in unfinished:
            answer = _agreeing(run, one, conditions)
            results.add(one.identity, [answer], one.subject.label)
            settled = one.repeats if "error" in answer else 1
            one.repeats -= settled
            done += settled
            progress(done, total)


def _missing(row: Row | None, repeats: int, retry_failed: bool) -> int:
    """How many measurements a row still needs to have `repeats`."""
    if row is None:
        return repeats
    return 0 if row["failures"] and not retry_failed else max(0, repeats - row["repeats"])


def contradiction(answer: Mapping[str, Any]) -> str:
    """How two measures of one thing, a pass of one image, differ beyond belief; or nothing."""
    measured = answer.get("measurements") or {}
    latency_ms = measured.get("latency_ms")
    rates = {size: rate for size, rate, *_ in measured.get("throughputs") or ()}
    if not latency_ms or not rates.get(1):
        return ""
    pass_ms = 1000 / rates[1]
    if max(latency_ms, pass_ms) <= _FACTOR * min(latency_ms, pass_ms):
        return ""
    return f"an image took {latency_ms:.4g} ms by its latency, {pass_ms:.4g} ms by its throughput"


def _agreeing(
    run: Callable[..., dict[str, Any]], one: _Pending, conditions: Conditions
) -> dict[str, Any]:
    """An answer that agrees with itself, asked for twice; else one that is marked as disturbed."""
    answer = _answer(run, one, conditions)
    if contradiction(answer):
        again = _answer(run, one, conditions)
        answer = answer if "error" in again else again
    if said := contradiction(answer):
        measured = {**answer["measurements"], "other_load": True}
        return {**answer, "measurements": measured, "contradiction": said}
    return answer


def _answer(
    run: Callable[..., dict[str, Any]], one: _Pending, conditions: Conditions
) -> dict[str, Any]:
    identity = one.identity
    try:
        return run(
            identity.model,
            identity.params,
            image_size=identity.image_size,
            num_classes=identity.num_classes,
            threads=conditions.threads,
            seconds=conditions.timing_seconds,
            precision=identity.precision,
            training_precision=identity.training_precision,
            mode=identity.mode,
            metrics=identity.metrics,
        )
    except Exception as error:  # noqa: BLE001 - any error of a run is the reason in one row
        return {"error": f"{type(error).__name__}: {error}"}
