"""Other methods in simulated time: some lanes, and a method that is asked and told."""

import heapq
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from search.simulation import Row
from spaces.space import Value
from tests.benchmarks.objectives import Objective


@dataclass(frozen=True, slots=True)
class Job:
    """A trial that a lane takes up at an epoch: 1 if it is new, later if it was paused."""

    trial: int
    params: dict[str, Value]
    epoch: int = 1


class Method(Protocol):
    """Decides what is trained."""

    def ask(self) -> Job | None:
        """What a free lane does next; None if it has to wait for the others."""
        ...

    def tell(self, job: Job, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Learn of an epoch; whether the trial goes on in its lane."""
        ...


def simulated(
    method: Method, objective: Objective, *, budget_epochs: int, workers: int
) -> list[Row]:
    """The epochs that a method trains, in order of time."""
    history: list[Row] = []
    order = itertools.count()  # breaks ties of time
    due: list[tuple[float, int, Job, int]] = []

    def begin(now: float, job: Job, epoch: int) -> None:
        heapq.heappush(due, (now + objective.cost(job.params), next(order), job, epoch))

    idle, now = workers, 0.0
    while len(history) < budget_epochs:
        while idle and (job := method.ask()):
            begin(now, job, job.epoch)
            idle -= 1
        if not due:
            break
        now, _, job, epoch = heapq.heappop(due)
        metrics = objective(job.params, epoch)
        history.append(Row(now, job.trial, job.params, epoch, metrics))
        goes_on = method.tell(job, epoch, metrics)
        if goes_on and epoch < objective.max_epochs:
            begin(now, job, epoch + 1)
        else:
            idle += 1
    return history
