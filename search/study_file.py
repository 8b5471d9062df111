"""A sweep's study in SQLite, which outlives what happens to its file."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy import event

from search.sweep_folder import SweepFolder
from trainables.addresses import sqlite_url
from trainables.errors import StorageError


def _damage(file: Path) -> str | None:
    try:
        connection = sqlite3.connect(file)
        try:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
            connection.execute("SELECT count(*) FROM trials").fetchone()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if verdict == "ok" else str(verdict)


class StudyFile:
    """A sweep's study in SQLite, with a copy of its last good state beside it."""

    def __init__(self, folder: SweepFolder):
        self.path, self._copy, self._trials = folder.study, folder.study_copy, folder.trials

    def heal(self) -> str:
        """Put the good copy in place of a damaged study; says what was done, or nothing.

        Trials that the copy does not know are suggested again, with the same parameters, and go on
        in their folders. Raises StorageError if there is no good copy.
        """
        if not self.path.exists() or (damage := _damage(self.path)) is None:
            return ""
        aside = self.path.with_suffix(f".damaged-{self.path.stat().st_mtime_ns}")
        untrained = not self._copy.exists() and not self._trials.exists()
        if not untrained and (not self._copy.exists() or _damage(self._copy) is not None):
            said = f"the study {self.path} is damaged ({damage}) and has no good copy"
            raise StorageError([said])
        self.path.rename(aside)
        for log in self.path.parent.glob(f"{self.path.name}-*"):  # SQLite would replay it
            log.rename(f"{aside}{log.name.removeprefix(self.path.name)}")
        if untrained:
            return f"the study was damaged ({damage}) before its first trial; it begins again"
        shutil.copy2(self._copy, self.path)
        return f"the study was damaged ({damage}); using the previous good one, kept {aside.name}"

    def keep(self) -> None:
        """Copy the study as it is now, in one rename."""
        draft = self._copy.with_suffix(".draft")
        source, target = sqlite3.connect(self.path), sqlite3.connect(draft)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
        draft.replace(self._copy)

    def storage(self) -> optuna.storages.RDBStorage:
        """The study's storage. A suggestion is some twenty commits, so they must be cheap.

        In the write-ahead log a commit survives the death of the process at once, and a power cut
        a moment later; the trials' own folders survive both.
        """
        url = sqlite_url(self.path)
        if not self.path.exists():
            self._make()
        with sqlite3.connect(self.path) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
        event.listen(storage.engine, "connect", _relax)
        return storage

    def _make(self) -> None:
        """The tables are made beside and renamed: a study that exists is never half made."""
        draft = self.path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        optuna.storages.RDBStorage(sqlite_url(draft)).engine.dispose()
        draft.rename(self.path)


def _relax(connection: Any, record: Any) -> None:  # noqa: ARG001
    connection.execute("PRAGMA synchronous = NORMAL")
