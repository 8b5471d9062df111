"""A limit on GFLOPs that the best configuration nearly reaches, in the functions of `crossing`."""

import random

from search.feasibility import Constraints
from tests.benchmarks.objectives.crossing import Crossing, gflops


class Limited(Crossing):
    """One objective under a limit that leaves a quarter to two fifths of the space."""

    name = "limited"

    def __init__(self, seed: int):
        super().__init__(seed)
        self.limit = round(random.Random(f"limit {seed}").uniform(0.6, 1.4), 2)

    @property
    def constraints(self) -> Constraints:
        return {"gflops": (gflops, self.limit)}
