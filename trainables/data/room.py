"""Checks that a disk has room before anything is written."""

import errno
import shutil
from pathlib import Path

SPARE_BYTES = 64 * 2**20


def check_room(folder: Path, size: int, what: str, otherwise: str) -> None:
    """Check that `folder` has room for `size` bytes and some more.

    Args:
        folder: where they will be written.
        size: in bytes.
        what: the start of the message, what needs them.
        otherwise: the end of the message, what can be done instead of making room.

    Raises:
        OSError: there is no room (ENOSPC).
    """
    needed, free = size + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{what} {needed / 1e6:,.0f} MB, {folder} has {free / 1e6:,.0f} MB free: "
            f"make room or {otherwise}",
        )
