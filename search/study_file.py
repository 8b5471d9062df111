"""A sweep's study in SQLite, which outlives what happens to its file."""

import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

import optuna
from sqlalchemy import event
from sqlalchemy.pool import StaticPool

from reports.mlflow_contract import sqlite_file
from search.lock import SweepLockedError
from search.storage import StudyLost
from search.sweep_folder import SweepFolder
from trainables.addresses import sqlite_url
from trainables.errors import StorageError
from trainables.lock import refuse_held

_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 1.0
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510  # where SQLite's readers lock a file
T = TypeVar("T")


def _reader(file: Path) -> sqlite3.Connection:
    """A connection that neither writes nor makes a file, as even SQLite's `ro` mode would.

    Without a log to be played, nothing but `file` is needed. Raises BlockingIOError if a process
    holds it for itself alone, which SQLite would not look for then.
    """
    refuse_held(file, _SHARED_FIRST, _SHARED_SIZE)
    log = file.with_name(f"{file.name}-wal")
    whole = "" if log.exists() and log.stat().st_size else "&immutable=1"
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro{whole}", uri=True)


def _damage(file: Path) -> str | None:
    """Why `file` is no study; None if it is one.

    OperationalError is not damage, but says that nothing can be told: locked, not to be opened.
    """
    try:
        with closing(_reader(file)) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
            query = "SELECT count(*) FROM sqlite_master WHERE name = 'trials'"
            (tables,) = connection.execute(query).fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return str(error)
    if verdict != "ok":
        return str(verdict)
    return None if tables else "no such table: trials"


def _known(file: Path) -> int:
    """How many trials a sound study knows."""
    with closing(_reader(file)) as connection:
        return connection.execute("SELECT count(*) FROM trials").fetchone()[0]


def in_memory(file: Path) -> optuna.storages.RDBStorage:
    """What the studies in `file` are now; what is done to it does not reach the file."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    with closing(_reader(file)) as source:
        source.backup(memory)
    pool = {"creator": lambda: memory, "poolclass": StaticPool}
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs=pool)


def external(database: str) -> Any:
    """The studies in another database, which must be there."""
    file = sqlite_file(database)
    if file is None:
        return optuna.storages.RDBStorage(database, skip_table_creation=True)
    if not file.is_file():
        raise StorageError([f"there is no database {file}"])
    return in_memory(file)


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


class StudyFile:
    """A sweep's study in SQLite, with a copy of its last good state beside it.

    `say` is told what a person waits for.
    """

    def __init__(self, folder: SweepFolder, say: Callable[[str], None] = _tell):
        self.path, self._copy, self._trials = folder.study, folder.study_copy, folder.trials
        self._folder, self._say = folder, say

    def damage(self) -> str | None:
        """Why the sweep cannot go on with its study as it is; None if it can, or is new.

        Changes nothing. Raises SweepLockedError if another process holds the study for a minute,
        StorageError if it cannot be opened.
        """
        return self._patiently(self._find_damage)

    def _find_damage(self) -> str | None:
        copied = _known(self._copy) if self._has_copy() else 0
        if not self.path.exists():
            trained = self._copy.exists() or self._folder.trained_keys()
            return "it is missing" if trained else None
        if (found := _damage(self.path)) is not None:
            return found
        known = _known(self.path)
        if known < copied:
            return f"it knows {known} trials, its copy {copied}"
        if not known and self._folder.trained_keys():
            return "it knows no trial, and there are some"
        return None

    def _has_copy(self) -> bool:
        return self._copy.exists() and _damage(self._copy) is None

    def heal(self) -> str:
        """Put the good copy in place of a damaged or missing study; says what was done, or nothing.

        Trials that the copy does not know are `adopted` from their folders. Raises StorageError if
        there is neither a good copy nor a folder, and what `damage` raises.
        """
        if (damage := self.damage()) is None:
            return ""
        copied, trained = self._has_copy(), self._folder.trained_keys()
        if not copied and not trained and (self._copy.exists() or self._trials.exists()):
            said = f"the study {self.path} is damaged ({damage}) and has no good copy"
            raise StorageError([said])
        aside, kept = self.path.with_suffix(f".damaged-{time.time_ns()}"), ""
        if self.path.exists():
            self.path.rename(aside)
            kept = f", kept {aside.name}"
        for log in self.path.parent.glob(f"{self.path.name}-*"):  # SQLite would replay it
            log.rename(f"{aside}{log.name.removeprefix(self.path.name)}")
        if copied:
            draft = self.path.with_suffix(".new")
            shutil.copy2(self._copy, draft)
            draft.rename(self.path)
            return f"the study was damaged ({damage}); using the previous good one{kept}"
        if trained:
            return f"the study was damaged ({damage}); making it again from the trials{kept}"
        return f"the study was damaged ({damage}) before its first trial; it begins again"

    def _patiently(self, work: Callable[[], T]) -> T:
        """`work`, again and again while another process holds the study for itself."""
        deadline, told = time.monotonic() + _PATIENCE_SECONDS, False
        while True:
            try:
                return work()
            except (sqlite3.OperationalError, BlockingIOError) as error:
                code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_BUSY) & 0xFF
                if code not in _BUSY:
                    raise StorageError([f"the study {self.path}: {error}"]) from error
                if time.monotonic() > deadline:
                    said = f"the study {self.path} is locked by another process; end that one"
                    raise SweepLockedError([f"{said}, then give the same command again"]) from error
                if not told:
                    limit = f"waiting up to {_PATIENCE_SECONDS:.0f} s"
                    self._say(f"note: the study {self.path} is locked by another process; {limit}")
                    told = True
                time.sleep(_PAUSE_SECONDS)

    def keep(self) -> None:
        """Copy the study as it is now, in one rename. Raises StudyLost where there is no room."""
        draft = self._copy.with_suffix(".draft")
        try:
            with (
                closing(sqlite3.connect(self.path)) as source,
                closing(sqlite3.connect(draft)) as target,
            ):
                source.backup(target)
            draft.replace(self._copy)
        except (OSError, sqlite3.Error) as error:
            with suppress(OSError):
                draft.unlink()
            raise StudyLost(f"it cannot be copied to {self._copy} ({error})") from error

    def storage(self) -> optuna.storages.RDBStorage:
        """The study's storage. A suggestion is some twenty commits, so they must be cheap.

        In the write-ahead log a commit survives the death of the process at once, and a power cut
        a moment later; the trials' own folders survive both.
        """
        url = sqlite_url(self.path)
        if not self.path.exists():
            self._make()
        self._patiently(self._begin_log)
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
        event.listen(storage.engine, "connect", _relax)
        return storage

    def snapshot(self) -> optuna.storages.RDBStorage:
        """The study in memory, for commands that only read."""
        return self._patiently(lambda: in_memory(self.path))

    def _begin_log(self) -> None:
        with closing(sqlite3.connect(self.path, timeout=_PAUSE_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")  # whether it can be written
            connection.rollback()

    def _make(self) -> None:
        """The tables are made beside and renamed: a study that exists is never half made."""
        draft = self.path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        optuna.storages.RDBStorage(sqlite_url(draft)).engine.dispose()
        draft.rename(self.path)


def _relax(connection: Any, record: Any) -> None:  # noqa: ARG001
    connection.execute("PRAGMA synchronous = NORMAL")
