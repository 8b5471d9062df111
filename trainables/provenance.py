"""Everything needed to check a number later: code, versions, command, hardware."""

import os
import platform
import shlex
import socket
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trainables import processor
from trainables.addresses import redacted

PACKAGES = ("torch", "torchvision", "timm", "ray", "optuna", "mlflow", "pyarrow", "numpy", "fvcore")


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that a number may depend on; None if not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


@cache
def facts() -> dict[str, Any]:
    """Code revision, package versions and the machine; None for a fact that is not available."""
    import torch

    status = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "git_sha": _git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "versions": versions(),
        "command": redacted(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processor": processor.name(),
        "cpus": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }
