"""Whether files in a folder are as they were written, by CRC-32 of blocks in `checksums.json`.

A CRC finds any flipped bit at the speed of reading: one core does about 2.5 GB/s of what the system
holds in memory already; a file that must come from a disk takes as long as reading it.
"""

import json
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trainables import records
from trainables.processor import usable_cores

BLOCK_BYTES = 4 * 2**20
FILE = "checksums.json"

State = tuple[tuple[str, int, int, int], ...]
"""Tells files from others that take their place: path, inode, bytes and time of each."""


def write(folder: Path, names: Sequence[str]) -> None:
    """Notes the checksums of files in a folder."""
    records.replace_json(folder / FILE, {name: of_file(folder / name) for name in names})


def damage(folder: Path, names: Sequence[str]) -> str | None:
    """What is wrong with files by their checksums; None if they are whole.

    Raises OSError or ValueError if they, or their checksums, cannot be read.
    """
    if not (folder / FILE).exists():
        return "without checksums, from an earlier version"
    said = json.loads((folder / FILE).read_bytes())
    for name in names:
        if not isinstance(said, dict) or said.get(name) != of_file(folder / name):
            return f"damaged ({name} is not as it was written)"
    return None


def state(folder: Path, names: Sequence[str]) -> State:
    """What `damage` need not look at again while it stays the same."""
    states = ((folder / name, (folder / name).stat()) for name in names)
    return tuple((str(p), s.st_ino, s.st_size, s.st_mtime_ns) for p, s in states)


def of_file(path: Path) -> list[int]:
    """The CRC-32 of each 4 MiB of a file, by all cores. Raises OSError if it cannot be read."""
    handle = os.open(path, os.O_RDONLY)
    try:
        # Read, not mapped: a bad sector is an error here and would be a signal there.
        def block(start: int) -> int:
            return zlib.crc32(os.pread(handle, BLOCK_BYTES, start))

        with ThreadPoolExecutor(len(usable_cores())) as pool:
            return list(pool.map(block, range(0, os.fstat(handle).st_size, BLOCK_BYTES)))
    finally:
        os.close(handle)
