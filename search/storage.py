"""The study's database: opened, waited for where that helps, and its trouble told in a line."""

import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import optuna
from sqlalchemy import create_engine, event, exc
from sqlalchemy.engine import make_url

from trainables.addresses import redacted
from trainables.errors import StorageError

_WAIT_SECONDS = (1.0, 2.0, 3.0, 4.0, *(5.0,) * 10)  # a minute in all
# what a database says that will soon be there again; a wrong password is wrong after a minute too
_PASSING = re.compile(
    "refused|starting up|shutting down|recovery mode|time.?out|timed out|reset by peer|terminat|"
    "closed the connection|too many (clients|connections)|locked|unreachable|temporary failure",
    re.IGNORECASE,
)
# of a connection that was there
_CUT_OFF = re.compile(
    r"terminat|(closed|lost) the connection|connection (is |has been )?(closed|lost)|gone away|"
    "lost connection|reset by peer|broken pipe",
    re.IGNORECASE,
)
_TRIES = 3  # of a call that was cut off
_LINE = 300  # characters of what a database says


class StudyLost(BaseException):
    """The study's database failed in the middle of a sweep.

    No Exception, for Tune takes those for failures of the trial that it happens to attend to.
    """


class Again:
    """A storage of Optuna whose calls are made again if the database went away in the midst of one.

    A new connection is waited for by itself. What was cut off may have been done all the same: to
    set the same value again changes nothing, and a trial that nobody heard of is one that was cut
    off while it was asked.
    """

    def __init__(self, storage: optuna.storages.BaseStorage):
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        return partial(_repeated, found) if callable(found) else found


def _repeated(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    for seconds in _WAIT_SECONDS[:_TRIES]:
        try:
            return call(*arguments, **named)
        except StudyLost as error:
            if not _CUT_OFF.search(str(error)):  # for what is not there it was waited already
                raise
            time.sleep(seconds)
    return call(*arguments, **named)


def reason(error: BaseException) -> str:
    """What a database said, in a line, without SQL and credentials."""
    while not isinstance(error, exc.DBAPIError) and error.__cause__ is not None:
        error = error.__cause__
    said = str(error.orig) if isinstance(error, exc.DBAPIError) else str(error)
    return redacted(" ".join(said.split()))[:_LINE]


def opened(url: str, tell: Callable[[str], None]) -> Any:
    """The studies at `url`, as Optuna's storage; `tell` hears of waiting for them.

    Raises:
        StorageError: The database cannot be reached, or is none of Optuna's.
    """
    place = make_url(url)
    options: dict[str, Any] = {"pool_pre_ping": True}
    if place.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": sum(_WAIT_SECONDS)}
    probe = create_engine(place, **options)
    _patient(probe, tell)
    try:
        probe.connect().close()
        storage = optuna.storages.RDBStorage(url, engine_kwargs=options)
    except (exc.SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
        raise StorageError([f"the database {redacted(url)}: {reason(error)}"]) from error
    finally:
        probe.dispose()
    attend(storage, tell)
    return Again(optuna.storages.get_storage(storage))


def attend(storage: optuna.storages.RDBStorage, tell: Callable[[str], None]) -> None:
    """Wait for the database of `storage` from now on, and raise StudyLost where it fails."""
    _patient(storage.engine, tell)
    event.listen(storage.engine, "handle_error", _fail)


def _patient(engine: Any, tell: Callable[[str], None]) -> None:
    def connect(dialect: Any, record: Any, args: Any, options: Any) -> Any:  # noqa: ARG001
        for number, seconds in enumerate(_WAIT_SECONDS):
            try:
                return dialect.connect(*args, **options)
            except dialect.loaded_dbapi.Error as error:
                if not _PASSING.search(str(error)):
                    raise
                if not number:
                    tell(f"note: waiting for the study's database: {reason(error)}")
                time.sleep(seconds)
        return dialect.connect(*args, **options)

    event.listen(engine, "do_connect", connect)


def _fail(context: Any) -> None:
    error = context.sqlalchemy_exception
    broken = isinstance(error, (exc.OperationalError, exc.InterfaceError))
    if context.is_pre_ping or not (broken or type(error) is exc.DatabaseError):
        return
    if "deadlock" not in str(error).lower():  # Optuna tries those again itself
        raise StudyLost(reason(error))


@contextmanager
def told() -> Generator[None]:
    """Turn what a study's database raises in the block into StorageError."""
    try:
        yield
    except StudyLost as error:
        raise StorageError([f"the study's database failed: {error}"]) from error
    except (exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise StorageError([f"the study's database failed: {reason(error)}"]) from error
