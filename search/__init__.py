"""Decides what is tried: spaces to trials, trials to lanes, results to a study and to MLflow.

What is in `__all__` is the public interface. It is imported when it is used first.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.result import SweepResult
    from search.simulation import simulate
    from search.sweeping import resume, sweep
    from search.trial_result import TrialResult

__all__ = ["SweepResult", "TrialResult", "resume", "simulate", "sweep"]
__version__ = "0.1.0"  # the one place of it: the distribution reads it here

_MODULES = {
    "SweepResult": "search.result",
    "TrialResult": "search.trial_result",
    "resume": "search.sweeping",
    "simulate": "search.simulation",
    "sweep": "search.sweeping",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
