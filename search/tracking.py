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
from trainables.home import Home

_RETRY_SECONDS = (1, 2, 5, 10, 30)
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
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)
        self._thread.start()

    def changed(self, record: Record) -> None:
        with self._lock:
            self._dirty[record.key] = record
        self._wake.put(False)

    def close(self, seconds: float) -> str:
        """Wait until everything is written; returns why it is not, or an empty text."""
        self._wake.put(True)
        self._thread.join(seconds)
        if self._thread.is_alive():
            return self.trouble or f"MLflow did not take everything within {seconds:.0f} s"
        return ""

    def _work(self) -> None:
        self._insist(self._open)
        ending = False
        while not ending:
            ending = self._wake.get()
            while True:
                with self._lock:
                    batch, self._dirty = self._dirty, {}
                if not batch:
                    break
                for record in batch.values():
                    self._insist(lambda record=record: self._project(record))

    def _open(self) -> None:
        self._projection = Projection(*self._arguments)
        self._projection.sweep()

    def _project(self, record: Record) -> None:
        assert self._projection is not None, "opened before the first record"
        self._projection.trial(record)

    def _insist(self, write: Callable[[], None]) -> None:
        """Do it until it succeeds: the folders keep what is not written yet."""
        for wait_seconds in itertools.chain(_RETRY_SECONDS, itertools.repeat(_RETRY_SECONDS[-1])):
            try:
                write()
            except Exception as error:  # noqa: BLE001 - any failure of MLflow is an outage
                self.trouble = redacted(f"MLflow: {error}")
                logger.warning("%s; trying again in %s s", self.trouble, wait_seconds)
                time.sleep(wait_seconds)
            else:
                self.trouble = ""
                return
