"""MFHartmann6: the Hartmann function in six dimensions with a fidelity.

Multi-fidelity Hartmann functions are those of Kandasamy et al., "Multi-fidelity Bayesian
Optimisation with Continuous Approximations" (2017): at a fidelity z below 1 the weights of the four
terms are smaller. As in later benchmarks all weights lose `bias * (1 - z)`, and noise grows with
1 - z. Here z rises from 0 to 1 over 27 epochs; the seed decides the bias, and which parameter is
which axis in which direction.
"""

import math
import random
from collections.abc import Mapping

from spaces.space import Real, Space, Value
from tests.benchmarks.objectives.objective import Objective

WEIGHTS = (1.0, 1.2, 3.0, 3.2)
SLOPES = (
    (10.0, 3.0, 17.0, 3.5, 1.7, 8.0),
    (0.05, 10.0, 17.0, 0.1, 8.0, 14.0),
    (3.0, 3.5, 1.7, 10.0, 17.0, 8.0),
    (17.0, 8.0, 0.05, 10.0, 0.1, 14.0),
)
CENTRES = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)
LEAST = -3.32237


class MFHartmann6(Objective):
    """One objective without the form of a learning curve; its least value is -3.32237."""

    name = "mf_hartmann6"
    space = Space(params={f"x{axis}": Real(0.0, 1.0) for axis in range(6)})
    tolerance = 0.2
    noise = 0.01
    best = LEAST  # published, whatever the seed

    def __init__(self, seed: int):
        super().__init__(seed)
        rng = random.Random(f"hartmann {seed}")
        self.bias = rng.uniform(0.5, 2.0)
        self.axes = rng.sample(range(6), 6)
        self.mirrored = [rng.random() < 0.5 for _ in range(6)]

    def true(self, params: Mapping[str, Value], epoch: int) -> float:
        given = [float(params[f"x{axis}"]) for axis in self.axes]
        at = [1 - x if back else x for x, back in zip(given, self.mirrored, strict=True)]
        missing = 1 - (epoch - 1) / (self.max_epochs - 1)
        total = 0.0
        for weight, slopes, centres in zip(WEIGHTS, SLOPES, CENTRES, strict=True):
            terms = zip(slopes, at, centres, strict=True)
            square = sum(slope * (x - centre) ** 2 for slope, x, centre in terms)
            total += (weight - self.bias * missing) * math.exp(-square)
        return -total
