"""What a history of epochs found, and after how many of them."""

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from search.simulation import Row
from tests.benchmarks.objectives import Objective
from tests.benchmarks.pareto import hypervolume

RESAMPLES = 2000


def progress(history: Sequence[Row], objective: Objective) -> list[tuple[int, float]]:
    """After how many epochs in all the best so far improved, and to what.

    Only trials of full length within the limits count, by their true values: the least excess over
    the best value, or the share of the best hypervolume.
    """
    points: list[tuple[float, float]] = []
    steps: list[tuple[int, float]] = []
    for epochs, row in enumerate(history, start=1):
        if row.epoch < objective.max_epochs or not objective.feasible(row.params):
            continue
        error = objective.true(row.params, row.epoch)
        if objective.reference:
            ((_, known),) = objective.known.items()
            points.append((error, known(dict(row.params))))
            now = hypervolume(points, objective.reference) / objective.best
            better = not steps or now > steps[-1][1]
        else:
            now = error - objective.best
            better = not steps or now < steps[-1][1]
        if better:
            steps.append((epochs, now))
    return steps


def found_after(steps: Sequence[tuple[int, float]], objective: Objective) -> int | None:
    """Epochs in all until the target is reached; None if it never is."""
    for epochs, value in steps:
        if value >= objective.share if objective.reference else value <= objective.tolerance:
            return epochs
    return None


def summary(history: Sequence[Row], objective: Objective) -> dict[str, Any]:
    """The numbers of one run, ready for JSON."""
    steps = progress(history, objective)
    return {
        "found_after": found_after(steps, objective),
        "epochs": len(history),
        "infeasible_epochs": sum(not objective.feasible(row.params) for row in history),
        "trials": len({row.trial for row in history}),
        "full_length": sum(row.epoch == objective.max_epochs for row in history),
        "progress": [[epochs, round(value, 6)] for epochs, value in steps],
    }


def median(values: Sequence[float]) -> float:
    """The median; of an even number, infinity if the upper one of the middle two is infinite."""
    return statistics.median(values)


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval (percentiles) of the median."""
    rng = random.Random(seed)
    medians = sorted(median(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[round(0.025 * (RESAMPLES - 1))], medians[round(0.975 * (RESAMPLES - 1))]


def cell(runs: Sequence[Mapping[str, Any]]) -> str:
    """`median [interval] (hit rate)` of some runs, and epochs on what breaks a limit."""
    values = [math.inf if run["found_after"] is None else run["found_after"] for run in runs]
    hits = sum(value < math.inf for value in values) / len(values)
    low, high = interval(values)
    wasted = statistics.median(run["infeasible_epochs"] for run in runs)
    told = f"{_epochs(median(values))} [{_epochs(low)}, {_epochs(high)}] ({hits:.2f})"
    return told + (f", {wasted:g} infeasible" if wasted else "")


def _epochs(value: float) -> str:
    return "never" if value == math.inf else f"{value:.0f}"
