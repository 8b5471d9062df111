"""A sweep in simulated time, with a function in place of training."""

import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from search.feasibility import Constraints
from search.record import Record, State
from search.samplers import DEFAULT, Quantity
from search.sampling import create
from search.study import SweepStudy
from spaces.space import Space, Value


class Row(NamedTuple):
    """One finished epoch of one trial; `time` is when it ended, in simulated time."""

    time: float
    trial: int
    params: dict[str, Value]
    epoch: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What happened, in order of time."""

    history: list[Row]


def simulate(
    objective: Callable[[dict[str, Value], int], Mapping[str, float]],
    space: Space,
    *,
    directions: Mapping[str, str],
    max_epochs: int,
    budget_epochs: int,
    workers: int = 4,
    seed: int = 0,
    cost: Callable[[dict[str, Value]], float] | None = None,
    constraints: Constraints | None = None,
    known: Mapping[str, Quantity] | None = None,
    sampler: str | None = None,
    pruner: str | None = None,
    until_settled: bool = False,
) -> Simulation:
    """Run a sweep in simulated time, without training.

    Args:
        objective: `objective(params, epoch)` gives the metrics of an epoch by name.
        space: what is searched.
        directions: `min` or `max` for each metric that is optimised.
        max_epochs: the most epochs of one trial.
        budget_epochs: the epochs of all trials together.
        workers: how many trials run at a time.
        seed: that of the sweep.
        cost: `cost(params)` gives the time of an epoch; 1 without it.
        constraints: by name, a function of the parameters and its limit.
        known: objectives of `directions` that are known before training, each a function of the
            parameters.
        sampler: its name as on the command line, the default without.
        pruner: likewise.
        until_settled: whether it ends when it is settled, see `search.samplers.settled`.

    Returns:
        What happened.

    Raises:
        ValueError: an unknown sampler or pruner.
    """
    study = SweepStudy(
        create("simulated", directions, None),
        space,
        directions=directions,
        max_epochs=max_epochs,
        seed=seed,
        constraints=constraints,
        known=known,
        sampler=sampler or DEFAULT,
        pruner=pruner,
        until_settled=until_settled,
    )
    history: list[Row] = []
    order = itertools.count()  # breaks ties of time
    due: list[tuple[float, int, Record, int]] = []

    def begin(now: float, record: Record, epoch: int) -> None:
        duration = cost(record.params) if cost else 1.0
        heapq.heappush(due, (now + duration, next(order), record, epoch))

    def fill(now: float) -> None:
        while len(due) < workers and (record := study.next()) is not None:
            begin(now, record, record.epoch + 1)

    fill(0.0)
    while due and len(history) < budget_epochs:
        now, _, record, epoch = heapq.heappop(due)
        metrics: dict[str, Any] = dict(objective(record.params, epoch))
        history.append(Row(now, record.number, record.params, epoch, metrics))
        if epoch == max_epochs:
            study.report(record.key, epoch, metrics)
            study.finish(record.key, State.COMPLETE, metrics=metrics)
        elif not study.report(record.key, epoch, metrics):
            begin(now, record, epoch + 1)
        fill(now)
    return Simulation(history)
