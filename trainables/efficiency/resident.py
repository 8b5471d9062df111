"""The memory of the machine that a process holds: its resident set, as Linux counts it.

The kernel counts pages in batches, so the number is exact to about a megabyte.
"""

import gc
import sys
from collections.abc import Callable
from pathlib import Path

from trainables.efficiency.unmeasurable import UnmeasurableError
from trainables.heap import give_back, pages_per_tensor

_PROCESS = Path("/proc/self")


def resident_rise_bytes(run: Callable[[], object], warm_up: Callable[[], object]) -> int:
    """How far the resident set rises while `run()` runs.

    `warm_up()` is called first, to make libraries load what they keep.

    Raises:
        UnmeasurableError: the system cannot restart the peak, or does not report it.
    """
    if sys.platform != "linux":
        raise UnmeasurableError(f"{sys.platform} cannot restart the peak of the resident set")
    with pages_per_tensor():
        warm_up()
        gc.collect()
        give_back()
        _restart_peak()
        before = _bytes_of("VmRSS")
        run()
        return max(0, _bytes_of("VmHWM") - before)


def _restart_peak() -> None:
    """Let VmHWM start again from the present resident set (Linux, proc_pid_clear_refs(5))."""
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
