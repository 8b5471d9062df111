"""What glibc's allocator does with the memory of tensors on the CPU when they are freed.

By default it gives large tensors pages of their own and returns these to the system, which has to
clear them before anybody uses them again. Training should not wait for that in every step; a
measurement of memory needs it.
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
    """The C library if it is glibc, which has these options; else None."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


@cache
def keep_freed() -> None:
    """Let this process keep the memory that it frees, until `give_back`."""
    if library := _glibc():
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, _NEVER)


def give_back() -> None:
    """Return to the system the memory that is kept and not in use."""
    if library := _glibc():
        library.malloc_trim(0)


@contextmanager
def pages_per_tensor() -> Iterator[None]:
    """Every new tensor has pages of its own, returned to the system when it is freed.

    Otherwise glibc keeps freed memory for reuse: what it kept from before hides what is used now,
    and what it keeps now is not used by the model. The options cannot be read back, so afterwards
    they are set to the values at which glibc's own adaptation ends.
    """
    library = _glibc()
    if library is None:  # another C library, with other options
        yield
        return
    library.mallopt(_MMAP_MAX, _MMAPS)
    library.mallopt(_MMAP_THRESHOLD, 64 * 2**10)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, 32 * 2**20)
        library.mallopt(_TRIM_THRESHOLD, 64 * 2**20)
