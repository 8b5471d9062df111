"""Ray Tune's ASHA with OptunaSearch, as they come, but for the rungs at 1, 3, 9 and 27 epochs.

The scheduler is Ray's own. As OptunaSearch of Ray 2.60 does, a trial that it stops is told to
Optuna's TPE as complete, with its last values, and a limit is not told at all.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import optuna
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from search.sampling import distribution
from search.simulation import Row
from tests.benchmarks.objectives import Objective
from tests.benchmarks.peers.lanes import Job, simulated
from tests.benchmarks.peers.tpe import OptunaStudy


class RayAsha(OptunaStudy):
    """TPE, and Ray's scheduler."""

    def __init__(self, objective: Objective, sampler: optuna.samplers.BaseSampler):
        super().__init__(objective, sampler)
        ((self._metric, mode),) = objective.directions.items()
        self._scheduler = AsyncHyperBandScheduler(
            time_attr="epoch",
            metric=self._metric,
            mode=mode,
            max_t=objective.max_epochs,
            grace_period=1,
            reduction_factor=3,
        )
        self._trials: dict[int, Any] = {}

    def ask(self) -> Job:
        domains = self._objective.space.params
        trial = self._study.ask({name: distribution(domain) for name, domain in domains.items()})
        params = trial.params
        self._trials[trial.number] = SimpleNamespace(trial_id=str(trial.number))
        self._scheduler.on_trial_add(cast(Any, None), self._trials[trial.number])
        return Job(trial.number, params)

    def tell(self, job: Job, epoch: int, metrics: Mapping[str, float]) -> bool:
        result = {"epoch": epoch, **metrics}
        verdict = self._scheduler.on_trial_result(cast(Any, None), self._trials[job.trial], result)
        if verdict == TrialScheduler.STOP:
            self.finish(job, metrics)
        return verdict != TrialScheduler.STOP


def missing(objective: Objective) -> str:
    """Why it cannot run; empty if it can."""
    return "takes one objective only" if len(objective.directions) > 1 else ""


def run(objective: Objective, *, seed: int, budget_epochs: int, workers: int) -> list[Row]:
    method = RayAsha(objective, optuna.samplers.TPESampler(seed=seed))
    return simulated(method, objective, budget_epochs=budget_epochs, workers=workers)
