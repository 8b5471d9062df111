"""One driver per sweep: a lock that names its owner and dies with it."""

import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

from search.sweep_folder import SweepFolder
from trainables import lock as files
from trainables.errors import Exit, UserError


class SweepLockedError(UserError):
    """Another living driver works on the sweep."""

    exit = Exit.LOCKED


@contextmanager
def held(folder: SweepFolder) -> Generator[None]:
    """Hold the sweep's lock for the block.

    The kernel frees the lock when its process ends, however it ends.

    Raises:
        SweepLockedError: Another process holds it; the message names that process.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.lock.open("a+") as file:
        if not files.taken(file):
            file.seek(0)
            raise SweepLockedError([f"sweep {folder.path.name!r} is in use by {file.read()}"])
        owner = {"pid": os.getpid(), "host": socket.gethostname()}
        file.truncate(0)
        file.write(json.dumps(owner | {"since": datetime.now(UTC).isoformat(timespec="seconds")}))
        file.flush()
        yield


def owner(folder: SweepFolder) -> dict[str, str] | None:
    """The `pid`, the `host` and the time `since` when a driver has held the sweep's lock.

    None if none does. Empty if it has not said so yet.
    """
    if not files.held(folder.lock):
        return None
    try:
        return {name: str(value) for name, value in json.loads(folder.lock.read_text()).items()}
    except ValueError:
        return {}
