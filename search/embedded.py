"""The folder of an embedded Ray, which is its driver's alone and goes with it."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainables.errors import ResourceError

_PREFIX = "search-ray-"
# a socket's path has at most 107 bytes on Linux and 103 on macOS; Ray's are as long as
# /session_2026-01-31_12-00-00_123456_1234567/sockets/plasma_store
_SOCKET_BYTES, _IN_RAY = 103, 65
_SHORT = ("/tmp", "/var/tmp", "/dev/shm")


def _place() -> Path:
    """Where the folder is made: in TMPDIR, or where paths are shorter if Ray's sockets need it."""
    name = f"{_PREFIX}{os.getpid()}"
    tried = dict.fromkeys((tempfile.gettempdir(), *_SHORT))
    for parent in map(Path, tried):
        short = len(os.fsencode(parent / name)) + _IN_RAY <= _SOCKET_BYTES
        if short and os.access(parent, os.W_OK):
            return parent / name
    said = f"Ray's sockets need a folder for temporary files that has a short name; {list(tried)}"
    raise ResourceError([f"{said} cannot be used; let TMPDIR name one of at most 20 letters"])


def _clear_leftovers(parent: Path) -> None:
    """Remove the folders of embedded Rays whose driver was killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX)
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def folder() -> Generator[Path]:
    """A folder for an embedded Ray, for its owner only.

    Raises:
        ResourceError: No folder for temporary files can be used.
    """
    path = _place()
    _clear_leftovers(path.parent)
    shutil.rmtree(path, ignore_errors=True)  # of a dead process that had our number
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def bring_token() -> None:
    """Give the embedded Ray a token of its own, which is in no file.

    Ray would write one into the user's home, readable to all, where there is a home at all.
    """
    if "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def hide_token() -> None:
    """Take the user's token of clusters, which Ray makes readable to all, from everybody else."""
    with suppress(RuntimeError, OSError):  # there is no home, or no token in it
        token = Path.home() / ".ray" / "auth_token"
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)
