"""Flat: most of the space lies within noise of each other, and a small region is better.

The region is a bowl with a narrow bottom and a wide, faint rim, so that there is something to
learn, if little. Larger models learn more slowly, which says nothing about where they end.
"""

import math
import random
from collections.abc import Mapping

from spaces.space import Choice, Integer, Real, Space, Value
from tests.benchmarks.objectives.objective import Objective

SPACE = Space(
    params={
        "depth": Integer(2, 12),
        "dim": Integer(64, 512, step=64),
        "lr": Real(1e-5, 1e-2, log=True),
        "weight_decay": Real(1e-4, 0.3, log=True),
        "drop_path": Real(0.0, 0.3),
        "batch_size": Choice((16, 32, 64, 128)),
    }
)


class Flat(Objective):
    """One objective; what is good hardly stands out."""

    name = "flat"
    space = SPACE

    def __init__(self, seed: int):
        super().__init__(seed)
        rng = random.Random(f"flat {seed}")
        self.centre = [rng.uniform(0.15, 0.85) for _ in range(5)]
        self.batch_size = rng.choice((16, 32, 64, 128))
        self.floor = rng.uniform(0.15, 0.25)
        self.slow = rng.uniform(1.5, 2.5)

    def place(self, params: Mapping[str, Value]) -> list[float]:
        """The numbers of a configuration, each from 0 to 1."""
        return [
            (float(params["depth"]) - 2) / 10,
            (float(params["dim"]) - 64) / 448,
            (math.log10(float(params["lr"])) + 5) / 3,
            math.log(float(params["weight_decay"]) / 1e-4) / math.log(3000),
            float(params["drop_path"]) / 0.3,
        ]

    def true(self, params: Mapping[str, Value], epoch: int) -> float:
        pairs = zip(self.place(params), self.centre, strict=True)
        square = sum((place - centre) ** 2 for place, centre in pairs)
        square += (0.1 * math.log2(float(params["batch_size"]) / self.batch_size)) ** 2
        bottom, rim = math.exp(-square / 0.12), math.exp(-square / 0.6)
        asymptote = self.floor + 0.04 - 0.02 * bottom - 0.02 * rim
        deep, wide, *_ = self.place(params)
        slow = self.slow * math.exp(0.35 * (deep + wide - 1))
        return asymptote + (0.9 - asymptote) * math.exp(-epoch / slow)
