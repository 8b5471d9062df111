"""How much better than the best so far a configuration is expected to be. Small values are good."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
_SAMPLES = 32
_WORST = 0.95  # quantile of predictions that is the reference point of a front


def improvement(mean: Array, deviation: Array, best: Array | float) -> Array:
    """Expected improvement of a normal value on `best` (Mockus 1975)."""
    z = (best - mean) / deviation
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return deviation * (z * ndtr(z) + density)


@dataclass(frozen=True, slots=True)
class Goal:
    """Improves on trials with learned objectives `values` (n, K) and known ones `costs` (n, M).

    One learned objective is improved as such; with one known beside it, the front of the two grows
    by an area; any more are weighed against each other, by weights drawn from `rng`.
    """

    values: Array
    costs: Array
    rng: np.random.Generator

    def __call__(self, mean: Array, deviation: Array, costs: Array) -> Array:
        """Expected gain of configurations: their prediction (m, K) and known objectives (m, M)."""
        learned, known = self.values.shape[1], self.costs.shape[1]
        if (learned, known) == (1, 0):
            return improvement(mean[:, 0], deviation[:, 0], self.values.min())
        if (learned, known) == (1, 1):
            return self._area(mean[:, 0], deviation[:, 0], costs[:, 0])
        return self._weighed(mean, deviation, costs)

    def of_noise(self, deviation: Array) -> float:
        """The gain of learned objectives (K,) that are better by `deviation` everywhere.

        It is 0 while the known objectives have one value only.
        """
        learned, known = self.values.shape[1], self.costs.shape[1]
        if (learned, known) == (1, 0):
            return float(deviation[0])
        if (learned, known) == (1, 1):
            return float(deviation[0] * (self.costs.max() - self.costs.min()))
        span = np.maximum(self.values.max(axis=0) - self.values.min(axis=0), 1e-9)
        return float((deviation / span).mean()) / (learned + known)

    def _area(self, mean: Array, deviation: Array, costs: Array) -> Array:
        """Expected growth of the dominated area: the costs of a configuration are certain.

        To the right of its cost, the front is a staircase; each step is improved for itself.
        """
        steps, heights = staircase(self.costs[:, 0], self.values[:, 0])
        worst = float(np.quantile(self.values[:, 0], _WORST))
        starts = np.concatenate([[-np.inf], steps])
        limits = np.concatenate([[max(worst, heights[0])], heights])
        end = max(float(self.costs.max()), float(costs.max()), steps[-1] + 1e-9)
        ends = np.concatenate([steps, [end]])
        wide = np.maximum(0.0, ends[None, :] - np.maximum(costs[:, None], starts[None, :]))
        gains = improvement(mean[:, None], deviation[:, None], limits[None, :])
        return np.sum(wide * gains, axis=1)

    def _weighed(self, mean: Array, deviation: Array, costs: Array) -> Array:
        """Expected improvement of the augmented Chebyshev sum (Knowles 2006, ParEGO)."""
        both = np.column_stack([self.values, self.costs])
        low, span = both.min(axis=0), np.maximum(np.ptp(both, axis=0), 1e-9)
        weights = self.rng.dirichlet(np.ones(both.shape[1]))

        def scalar(objectives: Array) -> Array:
            scaled = weights * (objectives - low) / span
            return scaled.max(axis=-1) + 0.05 * scaled.sum(axis=-1)

        best = scalar(both).min()
        draws = self.rng.standard_normal((_SAMPLES, 1, mean.shape[1]))
        values = mean + deviation * draws
        known = np.broadcast_to(costs, (_SAMPLES, *costs.shape))
        return np.maximum(0.0, best - scalar(np.concatenate([values, known], axis=-1))).mean(axis=0)


def staircase(costs: Array, values: Array) -> tuple[Array, Array]:
    """The front of cost and value: costs rising, values falling."""
    order = np.lexsort((values, costs))
    sorted_values = values[order]
    lowest = np.minimum.accumulate(sorted_values)
    new = np.concatenate([[True], sorted_values[1:] < lowest[:-1]])
    return costs[order][new], sorted_values[new]


def front(objectives: Array) -> list[int]:
    """The rows (n, K) that no other row beats in everything."""
    return [
        i
        for i, row in enumerate(objectives)
        if not np.any(np.all(objectives <= row, axis=1) & np.any(objectives < row, axis=1))
    ]


def leaders(objectives: Array, count: int) -> Sequence[int]:
    """The best rows: of one objective the least, of several the front, then what is behind it."""
    if objectives.shape[1] == 1:
        return [int(i) for i in np.argsort(objectives[:, 0], kind="stable")[:count]]
    left, found = list(range(len(objectives))), list[int]()
    while left and len(found) < count:
        first = [left[i] for i in front(objectives[left])]
        found += first
        left = [i for i in left if i not in first]
    step = max(1.0, len(found) / count)
    return [found[int(i * step)] for i in range(min(count, len(found)))]
