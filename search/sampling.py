"""Our spaces and states as Optuna's, and a study of a sweep."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import TrialState

from search.record import State
from spaces.space import Choice, Domain, Integer, Real

# our states as Optuna's states
OUTCOMES = {
    State.COMPLETE: TrialState.COMPLETE,
    State.STOPPED: TrialState.PRUNED,
    State.INFEASIBLE: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
    State.DUPLICATE: TrialState.FAIL,
}


def distribution(domain: Domain) -> optuna.distributions.BaseDistribution:
    """What Optuna notes beside a value of `domain`."""
    match domain:
        case Integer():
            return optuna.distributions.IntDistribution(
                domain.low, domain.high, step=domain.step, log=domain.log
            )
        case Real():
            return optuna.distributions.FloatDistribution(domain.low, domain.high, log=domain.log)
        case Choice():
            return optuna.distributions.CategoricalDistribution(domain.values)
        case _:
            raise TypeError(f"{domain!r} is no domain that can be drawn from")


def create(name: str, directions: Mapping[str, str], storage: Any) -> optuna.Study:
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
        pruner=optuna.pruners.NopPruner(),
    )
    found = [direction.name.lower() for direction in study.directions]
    if found != wanted:
        raise ValueError(f"study {name!r} has directions {found}, not {wanted}")
    return study
