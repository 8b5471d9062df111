"""Our own searcher, through `search.simulate`; `ours:SAMPLER:PRUNER` names parts of it."""

import inspect
from typing import Any

import search
from search.simulation import Row
from tests.benchmarks.objectives import Objective


def missing(objective: Objective, **asked: str) -> str:  # noqa: ARG001
    """Why it cannot run; empty if it can."""
    takes = inspect.signature(search.simulate).parameters
    unknown = [name for name in asked if name not in takes]
    return f"search.simulate takes no {' and no '.join(unknown)}" if unknown else ""


def run(
    objective: Objective, *, seed: int, budget_epochs: int, workers: int, **asked: Any
) -> list[Row]:
    # a version that knows no `known` is compared too
    takes = inspect.signature(search.simulate).parameters
    given: dict[str, Any] = {**asked, "known": objective.known or None}
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
        **{name: value for name, value in given.items() if name in takes},
    ).history
