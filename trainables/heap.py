"""What becomes of the memory that tensors on the CPU leave: glibc's allocator.

By itself it gives large tensors pages of their own and returns them to the system, which has to
clear them before anybody uses them again. To wait for that in every step is what a training does
not want, and what a measurement of memory does.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_NEVER = 2**31 - 1
_MMAPS = 65_536  # glibc's own limit


@cache
def _glibc() -> Any | None:
    """The C library, if it has these settings."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


@cache
def keep_freed() -> None:
    """From now on this process keeps the memory that it frees, until `give_back`."""
    if library := _glibc():
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, _NEVER)


def give_back() -> None:
    """Return to the system what is kept and not in use."""
    if library := _glibc():
        library.malloc_trim(0)


@contextmanager
def pages_per_tensor() -> Iterator[None]:
    """Every new tensor has pages of its own, returned to the system when it is freed.

    Left alone, glibc keeps freed memory for reuse: what it kept from before hides what is used
    now, and what it keeps now is no use of the model's. The settings cannot be read back, so
    afterwards they are those that glibc's own adaptation ends at.
    """
    library = _glibc()
    if library is None:  # another C library, with settings of its own
        yield
        return
    library.mallopt(_MMAP_MAX, _MMAPS)
    library.mallopt(_MMAP_THRESHOLD, 64 * 2**10)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, 32 * 2**20)
        library.mallopt(_TRIM_THRESHOLD, 64 * 2**20)
