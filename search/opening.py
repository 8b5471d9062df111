"""The study of a sweep, as its plan says."""

import math
from collections.abc import Callable, Sequence

import optuna

from search import exhaustion
from search.plan import Plan
from search.quantities import Quantities
from search.samplers import Earlier
from search.study import SweepStudy

EARLIER = "earlier_sweeps"  # the attribute of a study with what `warm_start` noted


def study_of(
    stored: optuna.Study,
    plan: Plan,
    quantities: Quantities,
    clocks: Sequence[Callable[[], str]] = (),
) -> SweepStudy:
    """What `stored` holds of the sweep of `plan`, and goes on with it; `clocks` may end it."""
    study = SweepStudy(
        stored,
        plan.searched,
        directions=plan.directions,
        max_epochs=plan.epochs,
        image_size=plan.image_size,
        trials=math.inf if plan.trials is None else plan.trials,
        epochs=math.inf if plan.total_epochs is None else plan.total_epochs,
        target=plan.target,
        clocks=clocks,
        repeats=plan.repeats,
        seed=plan.seed,
        constraints=quantities.constraints,
        known=quantities.known,
        costly=quantities.costly,
        sampler=plan.sampler,
        pruner=plan.pruner,
        until_settled=plan.until_settled,
        earlier=earlier_trials(stored),
    )
    exhaustion.recall(stored, study)
    return study


def earlier_trials(stored: optuna.Study) -> tuple[Earlier, ...]:
    """The trials of other sweeps that were noted when this one began."""
    return tuple(
        Earlier(
            trial["sweep"],
            trial["params"],
            {float(share): tuple(values) for share, values in trial["curve"].items()},
        )
        for trial in stored.user_attrs.get(EARLIER, {}).get("trials", ())
    )
