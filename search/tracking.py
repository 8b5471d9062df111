"""The thread that keeps MLflow up to date while trials train.

It is told only that something changed; what to write it reads from the trial's folder, whose
`metrics.jsonl` is the spool. So training never waits for MLflow, and an outage loses nothing.
"""

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from search.plan import Plan
from search.projection import Projection
from search.record import Record
from trainables.addresses import redacted
from trainables.errors import StorageError
from trainables.home import Home

_RETRY_SECONDS = (1, 2, 5, 10, 30)
_LAST_RETRY_SECONDS = 1  # at the end, when a person waits
_SLOW_SECONDS, _AWAY_SECONDS = 120.0, 20.0
_LOOK_SECONDS = 0.2
_REFUSALS = 3
_ANSWERS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST", "INVALID_STATE")
logger = logging.getLogger(__name__)


class Tracker:
    """The writing thread. `changed` may be called from anywhere and returns at once."""

    def __init__(self, uri: str, home: Home, plan: Plan, provenance: Mapping[str, Any]):
        self._arguments = (uri, home, plan, provenance)
        self._projection: Projection | None = None
        self._dirty: dict[str, Record] = {}
        self._lock = threading.Lock()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()  # True: end when all is written
        self.trouble = ""
        self._left: list[str] = []  # why something was refused
        self._written, self._given_up = 0, False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)
        self._thread.start()

    def changed(self, record: Record) -> None:
        with self._lock:
            self._dirty[record.key] = record
        self._wake.put(False)

    def close(
        self, seconds: float = _SLOW_SECONDS, say: Callable[[str], None] | None = None
    ) -> str:
        """Wait until everything is written; returns why it is not, or an empty text.

        It is given up after `seconds` without progress, or sooner if MLflow does not answer; `say`
        hears of waiting for that.
        """
        self._given_up = False
        self._ending.set()
        self._wake.put(True)
        written, since = -1, 0.0
        while self._thread.is_alive():
            if self._written != written:
                written, since = self._written, time.monotonic()
            limit = min(seconds, _AWAY_SECONDS) if self.trouble else seconds
            if time.monotonic() - since > limit:
                self._given_up = True
                return self.trouble or f"MLflow took nothing more for {seconds:.0f} s"
            if self.trouble and say:
                say(f"note: MLflow does not answer; it is waited for, at most {limit:.0f} s")
                say = None
            self._thread.join(_LOOK_SECONDS)
        return self._left[0] if self._left else ""

    def _work(self) -> None:
        self._insist(Projection.sweep)
        ending = False
        while not ending:
            ending = self._wake.get()
            while True:
                with self._lock:
                    batch, self._dirty = self._dirty, {}
                if not batch:
                    break
                for record in batch.values():
                    self._insist(lambda projection, record=record: projection.trial(record))

    def _opened(self) -> Projection:
        """The projection; after a failure a new one, which looks at what MLflow has now."""
        if self._projection is None:
            found = Projection(*self._arguments)
            found.sweep()
            self._projection = found
        return self._projection

    def _insist(self, write: Callable[[Projection], None]) -> None:
        """Do it until it succeeds: the folders keep what is not written yet.

        What MLflow refuses again and again, though it answers, is left: others can be written.
        """
        refusals = 0
        for wait_seconds in itertools.chain(_RETRY_SECONDS, itertools.repeat(_RETRY_SECONDS[-1])):
            try:
                write(self._opened())
            except Exception as error:  # noqa: BLE001 - any failure of MLflow is an outage
                self._projection = None
                self.trouble = redacted(f"MLflow: {error}")
                refusals += _refused(error)
                if refusals == _REFUSALS:
                    self._left.append(self.trouble)
                    logger.warning("%s; left", self.trouble)
                    self.trouble = ""
                    return
                if not self._given_up:  # who waits for it no longer was told
                    logger.warning("%s; trying again in %s s", self.trouble, wait_seconds)
                if self._ending.wait(wait_seconds):
                    time.sleep(min(wait_seconds, _LAST_RETRY_SECONDS))
            else:
                self.trouble, self._written = "", self._written + 1
                return


def _refused(error: Exception) -> bool:
    """Whether MLflow answered, and said no; an outage looks otherwise."""
    from mlflow.exceptions import MlflowException

    code = getattr(error, "error_code", "") if isinstance(error, MlflowException) else ""
    return code in _ANSWERS or isinstance(error, StorageError)
