"""The processor of this machine: what it is called, and the cores of it that a process may use."""

import os
import platform
import re
from pathlib import Path

import psutil


def name() -> str:
    """As Linux calls it; elsewhere, and where Linux does not say, as Python does."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use: all, where a system restricts nobody."""
    affinity = getattr(psutil.Process(), "cpu_affinity", None)  # macOS has none
    return affinity() if affinity else list(range(os.cpu_count() or 1))
