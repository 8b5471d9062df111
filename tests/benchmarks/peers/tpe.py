"""Optuna's TPE with its own settings; every trial is trained to the end.

A limit is told as a constraint, so that TPE has to learn what breaks it.
"""

import warnings
from collections.abc import Mapping

import optuna

from search.sampling import distribution
from search.simulation import Row
from tests.benchmarks.objectives import Objective
from tests.benchmarks.peers.lanes import Job, simulated


class OptunaStudy:
    """An Optuna study that is asked and told as the documentation says.

    Whatever ends is told as complete with its last values.
    """

    def __init__(self, objective: Objective, sampler: optuna.samplers.BaseSampler):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._objective = objective
        ways = [f"{way}imize" for way in objective.directions.values()]
        self._study = optuna.create_study(directions=ways, sampler=sampler)

    def ask(self) -> Job:
        domains = self._objective.space.params
        trial = self._study.ask({name: distribution(domain) for name, domain in domains.items()})
        params = trial.params
        for name, (of, limit) in self._objective.constraints.items():
            trial.set_constraint(name, of(params) - limit)
        return Job(trial.number, params)

    def finish(self, job: Job, metrics: Mapping[str, float]) -> None:
        self._study.tell(job.trial, [metrics[name] for name in self._objective.directions])

    def tell(self, job: Job, epoch: int, metrics: Mapping[str, float]) -> bool:
        if epoch == self._objective.max_epochs:
            self.finish(job, metrics)
        return True


def run(objective: Objective, *, seed: int, budget_epochs: int, workers: int) -> list[Row]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        method = OptunaStudy(objective, optuna.samplers.TPESampler(seed=seed))
        return simulated(method, objective, budget_epochs=budget_epochs, workers=workers)
