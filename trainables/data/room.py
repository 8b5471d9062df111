"""Whether a disk has room, asked before anything is written."""

import errno
import shutil
from pathlib import Path

SPARE_BYTES = 64 * 2**20


def check_room(folder: Path, size: int, what: str, otherwise: str) -> None:
    """Raises OSError (ENOSPC) if `folder` has no room for `size` bytes and some to spare.

    The message says `what` needs them, and what can be done `otherwise` than to make room.
    """
    needed, free = size + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{what} {needed / 1e6:,.0f} MB, {folder} has {free / 1e6:,.0f} MB free: "
            f"make room or {otherwise}",
        )
