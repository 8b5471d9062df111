"""How long a sweep has taken, over all its drivers, and how long it may take."""

import time
from collections.abc import Mapping
from typing import Any

import optuna

from search.plan import Plan
from search.record import Record, State
from search.sweep_folder import SweepFolder
from trainables import trial_log
from trainables.errors import ResourceError
from trainables.training_time import epoch_seconds

_DRIVERS = "drivers"  # attribute of a study: for each driver, when it began and was last at work
_GPUS = "gpus"  # attribute of a study: those of a trial
_SECONDS = 3600.0  # of an hour


class Hours:
    """The hours in which drivers trained; `changed` is a listener of the study.

    A driver notes in the study that it is at work whenever a trial pauses or ends: what a killed
    one did after that is not counted.
    """

    def __init__(self, stored: optuna.Study, limit: float):
        self._stored, self._limit = stored, limit
        self._earlier: list[list[float]] = stored.user_attrs.get(_DRIVERS, [])
        self._begun: float | None = None

    @property
    def spent(self) -> float:
        """In hours."""
        now = 0.0 if self._begun is None else time.time() - self._begun
        return (sum(last - begun for begun, last in self._earlier) + now) / _SECONDS

    @property
    def left_seconds(self) -> float:
        return max(0.0, self._limit - self.spent) * _SECONDS

    def begin(self) -> None:
        """Time runs from now on."""
        self._begun = time.time()

    def changed(self, record: Record) -> None:
        if self._begun is not None and record.state != State.RUNNING:
            self._stored.set_user_attr(_DRIVERS, [*self._earlier, [self._begun, time.time()]])

    def __call__(self) -> str:
        """Why time is up, or nothing."""
        return f"the {self._limit:g} h of the sweep are over" if self.spent >= self._limit else ""


class GpuHours:
    """The time of all epochs, with their validation, times the GPUs of a trial; a listener, too."""

    def __init__(self, stored: optuna.Study, limit: float, folder: SweepFolder):
        self._stored, self._limit, self._seconds = stored, limit, 0.0
        self._gpus: float = stored.user_attrs.get(_GPUS, 0.0)
        self._known: dict[str, int] = {}
        for key in sorted(folder.trained_keys()):
            for line in trial_log.read(folder.trial(key).metrics):
                self._count(key, line.epoch, line.metrics)

    @property
    def spent(self) -> float:
        """In hours."""
        return self._seconds * self._gpus / _SECONDS

    def begin(self, gpus: float) -> None:
        """Trials have so many GPUs from now on.

        Raises:
            ResourceError: They have none.
        """
        if not gpus:
            raise ResourceError(["--gpu-hours needs GPUs, and trials have none; see --hours"])
        self._gpus = gpus
        self._stored.set_user_attr(_GPUS, gpus)

    def changed(self, record: Record) -> None:
        self._count(record.key, record.epoch, record.metrics)

    def _count(self, key: str, epoch: int, metrics: Mapping[str, Any]) -> None:
        if epoch > self._known.get(key, 0):
            self._known[key] = epoch
            self._seconds += epoch_seconds(metrics)

    def __call__(self) -> str:
        """Why time is up, or nothing."""
        return f"the {self._limit:g} GPU hours are spent" if self.spent >= self._limit else ""


class Clocks:
    """Those that a plan asks for, over all its drivers."""

    def __init__(self, stored: optuna.Study, plan: Plan, folder: SweepFolder):
        self.hours = None if plan.hours is None else Hours(stored, plan.hours)
        self.gpu_hours = (
            None if plan.gpu_hours is None else GpuHours(stored, plan.gpu_hours, folder)
        )
        self.all = [clock for clock in (self.hours, self.gpu_hours) if clock]

    def begin(self, gpus: float) -> None:
        """Time runs from now on, for trials of so many GPUs. Raises ResourceError, see above."""
        if self.hours:
            self.hours.begin()
        if self.gpu_hours:
            self.gpu_hours.begin(gpus)
