"""One epoch for many random configurations, then the best of them to the end, one after the other.

Half of the budget buys first epochs. With two objectives the best are those of the non-dominated
fronts, front by front.
"""

from collections.abc import Mapping

from search.simulation import Row
from tests.benchmarks.objectives import Objective
from tests.benchmarks.objectives.best import feasible_draws
from tests.benchmarks.pareto import layers
from tests.benchmarks.peers.lanes import Job, simulated


class OneEpoch:
    """A look at `looks` configurations, and then the best looking."""

    def __init__(self, objective: Objective, seed: int, looks: int):
        draws = feasible_draws(objective, seed)
        self._looks = [Job(trial, next(draws)) for trial in range(looks)]
        self._waiting = list(reversed(self._looks))
        self._seen: dict[int, tuple[float, ...]] = {}
        self._names = list(objective.directions)
        self._ranked: list[int] | None = None

    def ask(self) -> Job | None:
        if self._waiting:
            return self._waiting.pop()
        if len(self._seen) < len(self._looks):
            return None
        if self._ranked is None:
            self._ranked = [trial for layer in layers(self._seen) for trial in layer]
        if not self._ranked:
            return None
        trial = self._ranked.pop(0)
        return Job(trial, self._looks[trial].params, epoch=2)

    def tell(self, job: Job, epoch: int, metrics: Mapping[str, float]) -> bool:
        if epoch == 1:
            self._seen[job.trial] = tuple(metrics[name] for name in self._names)
        return epoch > 1


def run(objective: Objective, *, seed: int, budget_epochs: int, workers: int) -> list[Row]:
    method = OneEpoch(objective, seed, looks=budget_epochs // 2)
    return simulated(method, objective, budget_epochs=budget_epochs, workers=workers)
