"""MOASHA as Syne Tune has it: successive halving by ranks of non-dominated sorting."""

from search.simulation import Row
from tests.benchmarks.objectives import Objective
from tests.benchmarks.peers import syne_schedulers


def missing(objective: Objective) -> str:
    """Why it cannot run; empty if it can."""
    one = "is made for several objectives" if len(objective.directions) == 1 else ""
    return one or syne_schedulers.missing()


def run(objective: Objective, *, seed: int, budget_epochs: int, workers: int) -> list[Row]:
    given = {"metrics": list(objective.directions), "do_minimize": True}
    return syne_schedulers.run("MOASHA", objective, seed, budget_epochs, workers, **given)
