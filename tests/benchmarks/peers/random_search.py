"""Random configurations within the limits, all trained to the end."""

import itertools
from collections.abc import Mapping

from search.simulation import Row
from tests.benchmarks.objectives import Objective
from tests.benchmarks.objectives.best import feasible_draws
from tests.benchmarks.peers.lanes import Job, simulated


class RandomSearch:
    """Draws, and never stops a trial."""

    def __init__(self, objective: Objective, seed: int):
        self._trials = itertools.count()
        self._draws = feasible_draws(objective, seed)

    def ask(self) -> Job:
        return Job(next(self._trials), next(self._draws))

    def tell(self, job: Job, epoch: int, metrics: Mapping[str, float]) -> bool:  # noqa: ARG002
        return True


def run(objective: Objective, *, seed: int, budget_epochs: int, workers: int) -> list[Row]:
    method = RandomSearch(objective, seed)
    return simulated(method, objective, budget_epochs=budget_epochs, workers=workers)
