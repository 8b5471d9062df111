"""The methods that are compared: a file each, with `run`, and `missing` where it may not run."""

import importlib
import pkgutil
from functools import partial
from types import ModuleType
from typing import Any

from tests.benchmarks.objectives import Objective

OTHERS = ("lanes", "syne_schedulers")  # files of this folder that hold no method
SLOW = ("ax_client",)  # seconds a suggestion: run when asked for


def names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in OTHERS)


def find(name: str) -> tuple[ModuleType, dict[str, Any]]:
    """The module of a method, and what its name asks for after colons: sampler and pruner."""
    file, *asked = name.split(":")
    if file not in names():
        raise ValueError(f"no method {file!r} (methods: {', '.join(names())})")
    module = importlib.import_module(f"tests.benchmarks.peers.{file}")
    return module, {k: v for k, v in zip(("sampler", "pruner"), asked, strict=False) if v}


def missing(name: str, objective: Objective) -> str:
    """Why a method cannot run on an objective; empty if it can."""
    module, given = find(name)
    return module.missing(objective, **given) if hasattr(module, "missing") else ""


def runner(name: str) -> Any:
    """`run(objective, *, seed, budget_epochs, workers)` of a method."""
    module, given = find(name)
    return partial(module.run, **given)
