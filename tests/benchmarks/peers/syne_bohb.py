"""BOHB as Syne Tune has it: asynchronous successive halving with kernel density estimates."""

from search.simulation import Row
from tests.benchmarks.objectives import Objective
from tests.benchmarks.peers import syne_schedulers


def missing(objective: Objective) -> str:
    """Why it cannot run; empty if it can."""
    several = "takes one objective only" if len(objective.directions) > 1 else ""
    return several or syne_schedulers.missing()


def run(objective: Objective, *, seed: int, budget_epochs: int, workers: int) -> list[Row]:
    ((metric, way),) = objective.directions.items()
    given = {"metric": metric, "do_minimize": way == "min"}
    return syne_schedulers.run("BOHB", objective, seed, budget_epochs, workers, **given)
