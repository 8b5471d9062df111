"""A user's functions that are told what becomes of trials while a sweep runs."""

import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import IO, Any

from search.record import Record, State
from search.sweep_folder import SweepFolder
from search.trial_result import TrialResult

OnEpoch = Callable[[TrialResult, int, Mapping[str, float]], object]
OnTrial = Callable[[TrialResult], object]


class CallbackError(BaseException):
    """A user's function failed; its error is the cause.

    No Exception, for Tune takes those for failures of the trial that it happens to attend to.
    """


class Callbacks:
    """`changed` is a listener of a study, and tells `on_epoch` and `on_trial`.

    Raises CallbackError where one of them raises an Exception.
    """

    def __init__(self, folder: SweepFolder, on_epoch: OnEpoch | None, on_trial: OnTrial | None):
        self._folder, self._on_epoch, self._on_trial = folder, on_epoch, on_trial
        self._told: dict[str, tuple[int, State]] = {}
        self._out: IO[str] | None = None
        self._err: IO[str] | None = None

    def __bool__(self) -> bool:
        return bool(self._on_epoch or self._on_trial)

    def changed(self, record: Record) -> None:
        epoch, state = self._told.get(record.key, (record.epoch - 1, State.RUNNING))
        self._told[record.key] = record.epoch, record.state
        trial, runs = TrialResult.of(record, self._folder), record.state == State.RUNNING
        if self._on_epoch and runs and record.epoch > max(epoch, record.resumed_epoch):
            self._tell(self._on_epoch, trial, record.epoch, trial.metrics)
        if self._on_trial and not runs and record.state != state:
            self._tell(self._on_trial, trial)

    def _tell(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call it; what it prints goes where the caller's prints go."""
        with ExitStack() as streams:
            if self._out:
                streams.enter_context(redirect_stdout(self._out))
            if self._err:
                streams.enter_context(redirect_stderr(self._err))
            try:
                function(*arguments)
            except Exception as error:
                raise CallbackError from error

    @contextmanager
    def heard(self) -> Generator[None]:
        """While a sweep runs, this process's output goes to its log, but not that of the functions.

        That of a notebook does not go through the process's output, and stays as it is.
        """
        with ExitStack() as streams:
            if _is(sys.stdout, 1):
                self._out = streams.enter_context(os.fdopen(os.dup(1), "w", buffering=1))
            if _is(sys.stderr, 2):
                self._err = streams.enter_context(os.fdopen(os.dup(2), "w", buffering=1))
            yield
        self._out = self._err = None


def _is(stream: Any, descriptor: int) -> bool:
    """Whether what is written to `stream` goes to that output of the process."""
    try:
        return stream.fileno() == descriptor
    except (OSError, AttributeError, ValueError):
        return False
