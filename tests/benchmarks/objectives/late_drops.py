"""Late drops, as under a cosine: a high learning rate hides how good a training is until it falls.

As `crossing`, but progress follows the sum of the learning rates so far, and on top lies an error
that is proportional to the learning rate of the moment: the best configurations look bad for most
of their training.
"""

import math
import random
from collections.abc import Mapping

from spaces.space import Value
from tests.benchmarks.objectives.crossing import Crossing


class LateDrops(Crossing):
    """One objective; the curves drop late."""

    name = "late_drops"
    tolerance = 0.01

    def __init__(self, seed: int):
        super().__init__(seed)
        rng = random.Random(f"drop {seed}")
        self.restless = rng.uniform(0.15, 0.3)
        self.steep = rng.uniform(0.4, 0.8)

    def true(self, params: Mapping[str, Value], epoch: int) -> float:
        share = epoch / self.max_epochs
        learnt = self.max_epochs * (share + math.sin(math.pi * share) / math.pi)
        pace = (1 + math.cos(math.pi * share)) / 2
        _, _, capacity = self.sizes(params)
        above = 10 ** (self.steep * min(1.0, self.lr_distance(params, capacity)))
        asymptote = min(0.9, self.asymptote(params))
        error = asymptote + (0.9 - asymptote) * self.left(params, learnt)
        return min(0.9, error + self.restless * above * pace)
