"""Real curves: what small Linformers did on `digits`, looked up in a recorded table.

A configuration is answered by the nearest one that was trained (numbers from 0 to 1 over their
domains, the learning rate doubled). Nothing is added: the noise is that of the training. There is
one function, whatever the seed.
"""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from spaces.space import Integer, Real, Value
from tests.benchmarks.objectives.digits_space import EPOCHS, SPACE
from tests.benchmarks.objectives.objective import Objective

TABLE = Path(__file__).parents[1] / "data" / "digits_curves.parquet"
WEIGHTS = {"lr": 2.0}

Place = tuple[float, ...]


def place(params: Mapping[str, Value]) -> Place:
    """The searched parameters as numbers from 0 to 1, times their weights."""
    found = []
    for name, domain in SPACE.params.items():
        assert isinstance(domain, (Integer, Real))
        low, high, at = domain.low, domain.high, params[name]
        if domain.log:
            low, high, at = math.log(low), math.log(high), math.log(float(at))
        found.append(WEIGHTS.get(name, 1.0) * (float(at) - low) / (high - low))
    return tuple(found)


@cache
def recorded() -> tuple[list[Place], list[list[float]]]:
    """The place of every configuration and its validation error after each epoch."""
    curves: dict[int, list[dict[str, Any]]] = {}
    for row in pq.read_table(TABLE).to_pylist():
        if row["seed"] == 0:
            curves.setdefault(row["configuration"], []).append(row)
    whole = [rows for rows in curves.values() if len(rows) == EPOCHS]
    errors = [[round(1 - row["valid_top1"], 6) for row in rows] for rows in whole]
    return [place(rows[0]) for rows in whole], errors


@cache
def nearest(at: Place) -> int:
    """Which configuration of the table is answered for a place."""
    places, _ = recorded()
    return min(range(len(places)), key=lambda number: math.dist(places[number], at))


class Digits(Objective):
    """One objective on recorded curves."""

    name = "digits"
    space = SPACE
    max_epochs = EPOCHS
    noise = 0.0
    tolerance = (
        0.01  # three images of the validation split: five of the 160 configurations reach it
    )

    def true(self, params: Mapping[str, Value], epoch: int) -> float:
        return recorded()[1][nearest(place(params))][epoch - 1]

    @property
    def best(self) -> float:
        return min(curve[-1] for curve in recorded()[1])
