"""Our own searcher, through `search.simulate`; `ours:NAME` gives it the sampler NAME."""

import inspect
from typing import Any

import search
from search.simulation import Row
from tests.benchmarks.objectives import Objective


def missing(objective: Objective, sampler: str = "") -> str:  # noqa: ARG001
    """Why it cannot run; empty if it can."""
    takes = inspect.signature(search.simulate).parameters
    return "search.simulate takes no sampler" if sampler and "sampler" not in takes else ""


def run(
    objective: Objective, *, seed: int, budget_epochs: int, workers: int, sampler: str = ""
) -> list[Row]:
    takes = inspect.signature(search.simulate).parameters
    given: dict[str, Any] = {"sampler": sampler, "known": objective.known}
    return search.simulate(
        objective,
        objective.space,
        directions=objective.directions,
        max_epochs=objective.max_epochs,
        budget_epochs=budget_epochs,
        workers=workers,
        seed=seed,
        cost=objective.cost,
        constraints=objective.constraints or None,
        # a version that takes fewer arguments is compared too
        **{name: value for name, value in given.items() if value and name in takes},
    ).history
