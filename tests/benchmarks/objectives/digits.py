"""Real curves: what small Linformers did on `digits`, looked up in a recorded table.

A configuration is answered by the nearest one that was trained (numbers from 0 to 1 over their
domains, the learning rate weighted double), with seed 0 of the trainings. Nothing is added: the
noise is that of the training.
"""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from spaces.space import Choice, Value
from tests.benchmarks.objectives.digits_space import EPOCHS, SPACE
from tests.benchmarks.objectives.objective import Objective

TABLE = Path(__file__).parents[1] / "data" / "digits_curves.parquet"
WEIGHTS = {"lr": 2.0}


def coordinate(name: str, value: Value) -> float:
    """Where a value lies in its domain, from 0 to 1, times the weight of its parameter."""
    domain = SPACE.params[name]
    if isinstance(domain, Choice):
        place = domain.values.index(value) / (len(domain.values) - 1)
    else:
        low, high = float(domain.low), float(domain.high)  # type: ignore[attr-defined]
        at = float(value)
        if domain.log:  # type: ignore[attr-defined]
            low, high, at = math.log(low), math.log(high), math.log(at)
        place = (at - low) / (high - low)
    return WEIGHTS.get(name, 1.0) * place


@cache
def recorded() -> tuple[list[tuple[float, ...]], list[list[float]]]:
    """The place of every configuration and its validation error after each epoch."""
    curves: dict[int, list[dict[str, Any]]] = {}
    for row in pq.read_table(TABLE).to_pylist():
        if row["seed"] == 0:
            curves.setdefault(row["configuration"], []).append(row)
    whole = [rows for rows in curves.values() if len(rows) == EPOCHS]
    places = [tuple(coordinate(name, rows[0][name]) for name in SPACE.params) for rows in whole]
    return places, [[1 - row["valid_top1"] for row in rows] for rows in whole]


class Digits(Objective):
    """One objective on recorded curves; there is one function, whatever the seed."""

    name = "digits"
    space = SPACE
    max_epochs = EPOCHS
    noise = 0.0
    tolerance = 0.004

    def true(self, params: Mapping[str, Value], epoch: int) -> float:
        places, errors = recorded()
        at = [coordinate(name, params[name]) for name in SPACE.params]
        nearest = min(range(len(places)), key=lambda place: math.dist(places[place], at))
        return errors[nearest][epoch - 1]

    @property
    def best(self) -> float:
        return min(curve[-1] for curve in recorded()[1])
