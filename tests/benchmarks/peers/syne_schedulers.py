"""Schedulers of Syne Tune in simulated time, called as its tuner calls them."""

import itertools
from collections.abc import Mapping
from datetime import datetime
from importlib.util import find_spec
from typing import Any

import numpy as np

from search.simulation import Row
from spaces.space import Choice, Domain, Integer
from tests.benchmarks.objectives import Objective
from tests.benchmarks.peers.lanes import Job, simulated


def missing() -> str:
    """Why none can run; empty if they can."""
    return "" if find_spec("syne_tune") else "syne-tune is not installed"


def domain_of(domain: Domain) -> Any:
    """A domain as Syne Tune knows it."""
    from syne_tune import config_space as theirs

    if isinstance(domain, Choice):
        return theirs.choice(list(domain.values))
    low, high = domain.low, domain.high  # type: ignore[attr-defined]
    if isinstance(domain, Integer):
        if domain.step > 1:
            return theirs.finrange(low, high, int(domain.size), cast_int=True)
        return theirs.lograndint(low, high) if domain.log else theirs.randint(low, high)
    return theirs.loguniform(low, high) if domain.log else theirs.uniform(low, high)  # type: ignore[attr-defined]


class SyneScheduler:
    """A scheduler that starts trials and stops them."""

    def __init__(self, scheduler: Any):
        self._scheduler = scheduler
        self._numbers = itertools.count()
        self._trials: dict[int, Any] = {}

    def ask(self) -> Job:
        from syne_tune.backend.trial_status import Trial

        config = self._scheduler.suggest().config
        number = next(self._numbers)
        self._trials[number] = Trial(number, config, datetime.now())
        self._scheduler.on_trial_add(self._trials[number])
        plain = {name: v.item() if hasattr(v, "item") else v for name, v in config.items()}
        return Job(number, plain)

    def tell(self, job: Job, epoch: int, metrics: Mapping[str, float]) -> bool:
        trial = self._trials[job.trial]
        decision = self._scheduler.on_trial_result(trial, {"epoch": epoch, **metrics})
        if decision == "STOP":
            self._scheduler.on_trial_remove(trial)
        return decision != "STOP"


def run(
    kind: str, objective: Objective, seed: int, budget_epochs: int, workers: int, **given: Any
) -> list[Row]:
    """The history under the scheduler `kind` of Syne Tune's."""
    from syne_tune.optimizer import baselines
    from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

    np.random.seed(seed)  # some of them draw from NumPy's global generator
    scheduler = {"MOASHA": MOASHA}.get(kind) or getattr(baselines, kind)
    method = scheduler(
        config_space={name: domain_of(d) for name, d in objective.space.params.items()},
        time_attr="epoch",
        max_t=objective.max_epochs,
        grace_period=1,
        reduction_factor=3,
        random_seed=seed,
        **given,
    )
    return simulated(SyneScheduler(method), objective, budget_epochs=budget_epochs, workers=workers)
