"""Samplers by their names."""

from search.feasibility import Feasibility
from search.samplers import DEFAULT, Sampler, Task
from search.samplers.freeze_thaw import FreezeThaw
from search.samplers.optuna_sampler import OptunaSampler
from spaces.space import Integer, Space


def load(name: str, task: Task, pruner: str | None = None) -> Sampler:
    """The sampler called `name`, with the `pruner` called so, or its own.

    Raises:
        ValueError: there is none, or it has no such pruner.
    """
    if name == DEFAULT:
        return FreezeThaw(task, pruner)
    return OptunaSampler(task, name, pruner)


def mistakes(name: str, pruner: str | None, objectives: int = 1) -> list[str]:
    """What is wrong with the names of a sampler and its pruner, for so many objectives."""
    task = Task(
        feasibility=Feasibility(Space(params={"x": Integer(0, 1)}), 1),
        learned=tuple(map(str, range(objectives))),
        max_epochs=9,
    )
    try:
        load(name, task, pruner)
    except ValueError as error:
        return [str(error)]
    return []
