"""Two objectives: the error of `crossing`, and the GFLOPs, which are known before training."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from spaces.space import Value
from tests.benchmarks.objectives.crossing import Crossing, gflops


def log_gflops(params: Mapping[str, Value]) -> float:
    """The decimal logarithm of the GFLOPs."""
    return math.log10(gflops(params))


class TwoObjectives(Crossing):
    """Error and log GFLOPs; what counts is the hypervolume."""

    name = "two_objectives"
    directions: ClassVar[Mapping[str, str]] = {"error": "min", "log_gflops": "min"}
    reference = (0.6, log_gflops({"depth": 12, "dim": 512, "k_dim": 256}))

    @property
    def known(self) -> Mapping[str, Any]:
        return {"log_gflops": log_gflops}
