"""Ax with its own choice of methods (Sobol, then BoTorch); every trial is trained to the end.

It takes seconds a suggestion.
"""

import logging
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from search.simulation import Row
from spaces.space import Choice, Domain, Integer
from tests.benchmarks.objectives import Objective
from tests.benchmarks.peers.lanes import Job, simulated


def missing(objective: Objective) -> str:  # noqa: ARG001
    """Why it cannot run; empty if it can."""
    return "" if find_spec("ax") else "ax-platform is not installed"


def parameter(name: str, domain: Domain) -> Any:
    """A parameter as Ax knows it."""
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    if isinstance(domain, Choice):
        whole = all(isinstance(value, int) for value in domain.values)
        kind = "int" if whole else "str"
        return ChoiceParameterConfig(
            name=name, values=list(domain.values), parameter_type=kind, is_ordered=whole
        )
    whole = isinstance(domain, Integer)
    return RangeParameterConfig(
        name=name,
        bounds=(domain.low, domain.high),  # type: ignore[attr-defined]
        parameter_type="int" if whole else "float",
        step_size=domain.step if isinstance(domain, Integer) and domain.step > 1 else None,
        scaling="log" if domain.log else None,  # type: ignore[attr-defined]
    )


class AxClient:
    """An experiment that is asked for one trial at a time. A limit is an outcome to be learnt."""

    def __init__(self, objective: Objective, seed: int):
        from ax.api.client import Client

        self._objective = objective
        self._client = Client(random_seed=seed)
        parameters = [parameter(name, d) for name, d in objective.space.params.items()]
        self._client.configure_experiment(parameters=parameters)
        self._client.configure_optimization(
            objective=", ".join(f"-{name}" for name in objective.directions),
            outcome_constraints=[f"{n} <= {limit}" for n, (_, limit) in self._limits] or None,
        )

    @property
    def _limits(self) -> list[tuple[str, Any]]:
        return list(self._objective.constraints.items())

    def ask(self) -> Job:
        ((number, params),) = self._client.get_next_trials(max_trials=1).items()
        return Job(number, dict(params))

    def tell(self, job: Job, epoch: int, metrics: Mapping[str, float]) -> bool:
        if epoch == self._objective.max_epochs:
            told = {name: metrics[name] for name in self._objective.directions}
            told |= {name: of(job.params) for name, (of, _) in self._limits}
            self._client.complete_trial(job.trial, raw_data=told)
        return True


def run(objective: Objective, *, seed: int, budget_epochs: int, workers: int) -> list[Row]:
    logging.getLogger("ax").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method = AxClient(objective, seed)
        return simulated(method, objective, budget_epochs=budget_epochs, workers=workers)
