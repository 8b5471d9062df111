"""What the trials of a sweep keep on disk, and what gives way where it is too much.

A paused trial keeps one commit, a stopped one nothing but its metrics (and the weights of its best
epoch if they are wanted). Where the trials' folders are larger than the limit, these give way: what
failed trials left, kept weights of stopped trials, and at last the commits of paused trials, which
are stopped by that: to train them again from their first epoch would cost what was saved. A trial
that runs and the weights of a complete one are never touched.
"""

import os
import shutil
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

from search.plan import Plan
from search.record import Record, State
from search.study import SweepStudy
from search.sweep_folder import SweepFolder
from search.units import quantity
from trainables import checkpoint, weights
from trainables.trial_folder import TrialFolder

SHARE = 0.5
"""Of the space that is free when a driver begins: the limit, on top of what the trials have."""

_ENDED_BADLY = (State.FAILED, State.INFEASIBLE)


def bytes_in(path: Path) -> int:
    """The bytes of all files in a folder. What goes away meanwhile does not count."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(f"{folder}/{name}").st_size
            except FileNotFoundError:
                continue
    return total


def free(path: Path) -> int:
    """The free bytes of the disk that `path` is on, or will be."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def _shown(size_bytes: float) -> str:
    return quantity(size_bytes, "bytes")


def tidy(files: TrialFolder, state: State, *, keep_weights: bool) -> None:
    """Remove what a trial in this `state` has no more use for."""
    if state == State.PAUSED:
        checkpoint.trim(files.checkpoints, keep=1)
    elif state == State.STOPPED:
        if keep_weights and files.checkpoints.exists():
            weights.keep(files)
        checkpoint.trim(files.checkpoints, keep=0)


def _ranks(values: list[float]) -> list[int]:
    """How many others are smaller, for each value."""
    ordered = sorted(values)
    return [bisect_left(ordered, value) for value in values]


@dataclass(slots=True)
class _Kept:
    """What a trial has: bytes in all, those that may give way, and since when they are there."""

    held: int = 0
    spare: int = 0
    since: float = 0.0


class Room:
    """Holds the trials' folders to a limit: `changed` is the last of a study's listeners.

    Args:
        study: knows the trials.
        plan: says what is better.
        folder: the sweep's.
        limit: in bytes; without one, `SHARE` of what is free now beside what the trials have.
        tell: hears what gave way.

    A trial that is stopped by this is told to the study, whose first listener has to `tidy` it.
    """

    def __init__(
        self,
        study: SweepStudy,
        plan: Plan,
        folder: SweepFolder,
        limit: float | None,
        tell: Callable[[str], None],
    ):
        self._study, self._folder, self._tell = study, folder, tell
        self._sign = -1 if next(iter(plan.directions.values())) == "min" else 1
        self._kept: dict[str, _Kept] = {}
        self.used = 0
        self._making_room = self._told = False
        for record in study.accepted:
            self._look(record)
        self.limit = self.used + int(SHARE * free(folder.path)) if limit is None else limit

    def changed(self, record: Record) -> None:
        """Look at the trial's folder again; if it does not run, make room where all are too large.

        While it runs, it may be about to pause, and to be the one that gives way.
        """
        self._look(record)
        if record.state == State.RUNNING or self._making_room:
            return
        self._making_room = True  # what is stopped comes here, too
        try:
            self._make_room()
        finally:
            self._making_room = False

    def _look(self, record: Record) -> None:
        files, before = self._folder.trial(record.key), self._kept.get(record.key, _Kept())
        now = self._kept[record.key] = _Kept(held=bytes_in(files.path))
        if record.state in (State.PAUSED, *_ENDED_BADLY):
            place = files.checkpoints
        elif record.state == State.STOPPED:
            place = files.best.parent
        else:
            place = None
        if place is not None and place.exists():
            now.spare, now.since = bytes_in(place), place.stat().st_mtime
        self.used += now.held - before.held

    def _make_room(self) -> None:
        while self.used > self.limit:
            if (record := next(self._in_turn(), None)) is not None:
                self._give_up(record)
                continue
            if not self._told:
                said = f"the trials have {_shown(self.used)} of at most {_shown(self.limit)}"
                self._tell(f"warning: {said}, and nothing of it can give way")
            self._told = True
            return

    def _in_turn(self) -> Iterator[Record]:
        """What gives way: paused trials last; the worst and oldest first, by the sum of ranks."""
        spare = [r for r in self._study.accepted if self._kept.get(r.key, _Kept()).spare]
        values = [-inf if r.value is None else self._sign * r.value for r in spare]
        badness, youth = _ranks(values), _ranks([self._kept[r.key].since for r in spare])
        place = {r.key: (badness[i] + youth[i], badness[i]) for i, r in enumerate(spare)}
        kinds = (*_ENDED_BADLY, State.STOPPED, State.PAUSED)
        yield from sorted(spare, key=lambda r: (kinds.index(r.state), *place[r.key], r.number))

    def _give_up(self, record: Record) -> None:
        if record.state == State.PAUSED:
            why = f"paused after epoch {record.epoch}, and its commit gave way to the disk limit"
            self._tell(f"note: {record.key} is stopped: {why} of {_shown(self.limit)}")
            self._study.finish(record.key, State.STOPPED, why)  # a listener tidies it
            self._look(record)
            return
        files = self._folder.trial(record.key)
        place = files.best.parent if record.state == State.STOPPED else files.checkpoints
        checkpoint.trim(place, keep=0)
        self._look(record)
        self._kept[record.key].spare = 0  # also where it could not be removed
