"""Optuna's own samplers, pruners and storages, set up for us."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import optuna
from optuna.trial import TrialState

from search.record import State
from spaces.space import Choice, Domain, Integer, Real, Value

# our states as Optuna's states
OUTCOMES = {
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.INFEASIBLE: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
    State.DUPLICATE: TrialState.FAIL,
}


def suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    match domain:
        case Integer():
            low, high = domain.low, domain.high
            return trial.suggest_int(name, low, high, step=domain.step, log=domain.log)
        case Real():
            return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
        case Choice():
            return cast(Value, trial.suggest_categorical(name, domain.values))
    raise TypeError(f"{name}: no way to draw from {domain!r}")


def distribution(domain: Domain) -> optuna.distributions.BaseDistribution:
    """What Optuna notes beside a value that `suggest` drew from `domain`."""
    match domain:
        case Integer():
            return optuna.distributions.IntDistribution(
                domain.low, domain.high, step=domain.step, log=domain.log
            )
        case Real():
            return optuna.distributions.FloatDistribution(domain.low, domain.high, log=domain.log)
        case Choice():
            return optuna.distributions.CategoricalDistribution(domain.values)
    raise TypeError(f"{domain!r} is no domain that can be drawn from")


def sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    """Multivariate TPE for suggestion `number` of the sweep with `seed`.

    It is seeded by both, so that a resumed sweep suggests what an uninterrupted one would.
    """
    entropy = np.random.SeedSequence((seed, number)).generate_state(1)[0]
    return optuna.samplers.TPESampler(seed=int(entropy), multivariate=True, n_startup_trials=8)


def pruner(epochs: int) -> optuna.pruners.BasePruner:
    """Asynchronous successive halving with rungs at a ninth, a third and all of the epochs.

    A later first rung keeps slow starters: on a surrogate with crossing curves, the regret is a
    third of that with a first rung at one epoch.
    """
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=max(1, round(epochs / 9)), reduction_factor=3
    )


def create(name: str, directions: Mapping[str, str], storage: Any, epochs: int) -> optuna.Study:
    """The study `name`, new or as it was left.

    Raises:
        ValueError: the study has other directions.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # otherwise it writes a line per trial
    wanted: list[Any] = [f"{way}imize" for way in directions.values()]
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        directions=wanted,
        load_if_exists=True,
        pruner=pruner(epochs) if len(wanted) == 1 else optuna.pruners.NopPruner(),
    )
    found = [direction.name.lower() for direction in study.directions]
    if found != wanted:
        raise ValueError(f"study {name!r} has directions {found}, not {wanted}")
    return study
