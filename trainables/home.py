"""The home, in which everything is kept, as far as training knows it: its folder of data sets."""

import os
from pathlib import Path


def default() -> Path:
    """`SEARCH_HOME` unless it is empty, else `sweeps` where the command is run."""
    return Path(os.environ.get("SEARCH_HOME") or "sweeps")


def data(home: Path) -> Path:
    """Where the data sets of a home are, a folder each."""
    return home / "data"
