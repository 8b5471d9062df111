"""What the searchers are compared on: a function in place of a training, with a known best."""

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

from search.feasibility import Constraints
from spaces.space import Space, Value

BEST = Path(__file__).with_name("best.json")


class Objective:
    """A family of functions; the seed decides where the optimum lies and how the curves run.

    `true` is the value without noise; what a searcher sees has a noise that depends on nothing but
    the function's seed, the configuration and the epoch. A trial of full length has found the
    optimum when its true value is within `tolerance` of `best`; where there are two objectives,
    the search has when the trials of full length have the share `share` of the best hypervolume.
    """

    name: ClassVar[str]
    space: Space
    directions: ClassVar[Mapping[str, str]] = {"error": "min"}
    max_epochs: ClassVar[int] = 27
    noise: ClassVar[float] = 0.003
    tolerance: ClassVar[float] = 0.01
    share: ClassVar[float] = 0.85
    reference: ClassVar[tuple[float, float] | None] = None
    """The worst corner of the hypervolume, in the order of `directions`."""

    def __init__(self, seed: int):
        self.seed = seed

    def true(self, params: Mapping[str, Value], epoch: int) -> float:
        """The error after `epoch` epochs, without noise."""
        raise NotImplementedError

    def __call__(self, params: Mapping[str, Value], epoch: int) -> dict[str, float]:
        """What a training would report."""
        error = self.true(params, epoch) + self.noise * self._normal(params, epoch)
        return {"error": error, **{name: of(dict(params)) for name, of in self.known.items()}}

    @property
    def known(self) -> Mapping[str, Any]:
        """Objectives that are known before training, as functions of the parameters."""
        return {}

    @property
    def constraints(self) -> Constraints:
        return {}

    def cost(self, params: Mapping[str, Value]) -> float:  # noqa: ARG002
        """The time of an epoch."""
        return 1.0

    def feasible(self, params: Mapping[str, Value]) -> bool:
        return all(of(dict(params)) <= limit for of, limit in self.constraints.values())

    @cached_property
    def best(self) -> float:
        """The best true value at full length, or the largest hypervolume, by a dense search."""
        stated = _stated().get(self.name, {}).get(str(self.seed))
        if stated is None:
            from tests.benchmarks.objectives.best import dense

            stated = dense(self)
        return stated

    def _normal(self, params: Mapping[str, Value], epoch: int) -> float:
        """A standard normal number that is always the same for the same configuration and epoch."""
        told = json.dumps([self.name, self.seed, epoch, sorted(params.items())])
        digest = hashlib.blake2b(told.encode(), digest_size=16).digest()
        first = (int.from_bytes(digest[:8], "big") + 1) / 2**64
        second = int.from_bytes(digest[8:], "big") / 2**64
        return math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * second)


@cache
def _stated() -> dict[str, dict[str, float]]:
    return json.loads(BEST.read_text()) if BEST.exists() else {}
