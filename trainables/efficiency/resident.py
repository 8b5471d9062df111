"""What a process holds of the machine's memory: its resident set, as Linux counts it.

The kernel counts in batches of pages, so it is exact to about a megabyte.
"""

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.efficiency.unmeasurable import UnmeasurableError

_PROCESS = Path("/proc/self")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def resident_rise_bytes(run: Callable[[], object], warm_up: Callable[[], object]) -> int:
    """Peak of the resident set while `run()` runs, above the set before it.

    `warm_up()` comes first, for what libraries load once and keep.

    Raises:
        UnmeasurableError: the system cannot restart the peak, or does not tell it.
    """
    if sys.platform != "linux":
        raise UnmeasurableError(f"{sys.platform} cannot restart the peak of the resident set")
    with _pages_per_tensor() as return_freed_memory:
        warm_up()
        gc.collect()
        return_freed_memory(0)
        _restart_peak()
        before = _bytes_of("VmRSS")
        run()
        return max(0, _bytes_of("VmHWM") - before)


@contextmanager
def _pages_per_tensor() -> Iterator[Callable[[int], object]]:
    """Give every new tensor pages of its own, returned to the system when it is freed.

    Left alone, glibc keeps freed memory for reuse: what it kept from before hides what is used
    now, and what it keeps now is no use of the model's. Yields the call that returns what is kept
    (`malloc_trim`). The settings cannot be read back, so afterwards they are those that glibc's
    own adaptation ends at.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_trim"):  # another C library, with settings of its own
        yield lambda _pad: None
        return
    libc.mallopt(_MMAP_THRESHOLD, 64 * 2**10)
    try:
        yield libc.malloc_trim
    finally:
        libc.mallopt(_MMAP_THRESHOLD, 32 * 2**20)
        libc.mallopt(_TRIM_THRESHOLD, 64 * 2**20)


def _restart_peak() -> None:
    """Make VmHWM start again from the present resident set (Linux, proc_pid_clear_refs(5))."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError as error:
        raise UnmeasurableError(
            f"the peak of the resident set cannot be reset on this machine ({error.strerror})"
        ) from error


def _bytes_of(field: str) -> int:
    for line in (_PROCESS / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise UnmeasurableError(f"the system does not report {field} of a process")
