"""Lock files, which the kernel releases when the process that holds them ends, however it ends.

They use `flock`, which Linux and macOS have: a plain file would outlive a killed process.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock at `path`; waits while another process holds it. Makes missing folders."""
    with _held(path, fcntl.LOCK_EX):
        yield


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the lock at `path` with others that share it; waits while one has it `exclusive`."""
    with _held(path, fcntl.LOCK_SH):
        yield


@contextmanager
def _held(path: Path, way: int) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, way)
        yield


def taken(handle: TextIO) -> bool:
    """Take the lock of an open file, until it is closed; False if somebody else has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def held(path: Path) -> bool:
    """Whether a process holds the lock at `path`, in a moment in which nobody else can take it."""
    if not path.exists():
        return False
    with path.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def refuse_held(path: Path, first: int, size: int) -> None:
    """Raises BlockingIOError if a process holds these bytes of a file for itself alone.

    By POSIX's record locks, which SQLite takes; nothing is held afterwards.
    """
    with path.open("rb") as handle:
        fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB, size, first)
