"""One driver a sweep: a lock that names its owner and dies with it."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from trainables.lock import taken


class SweepLockedError(RuntimeError):
    """Another living driver works on the sweep."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder/lock` for the block. Raises SweepLockedError naming the owner's process.

    The kernel frees the lock when its process ends, however it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        if not taken(file):
            file.seek(0)
            raise SweepLockedError(f"sweep {folder.name!r} is in use by {file.read()}")
        owner = {"pid": os.getpid(), "host": socket.gethostname()}
        file.truncate(0)
        file.write(json.dumps(owner | {"since": datetime.now(UTC).isoformat(timespec="seconds")}))
        file.flush()
        yield
