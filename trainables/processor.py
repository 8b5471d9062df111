"""The processor of this machine: its name, and the cores that this process may use."""

import os
import platform
import re
from pathlib import Path

import psutil


def name() -> str:
    """The name that Linux gives it, else the one that Python knows."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use; all, if the system has no such limit."""
    affinity = getattr(psutil.Process(), "cpu_affinity", None)  # macOS has none
    return affinity() if affinity else list(range(os.cpu_count() or 1))
