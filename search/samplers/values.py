"""Values of curves made comparable: finite, cut off where they are hopeless, and their measure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ENOUGH = 5  # values that show how ends are spread


def measure(values: Array, epochs: Array) -> tuple[Array, Array]:
    """Mean and deviation of the values of the longest curves: what is told apart at the end."""
    for least in sorted(set(epochs.tolist()), reverse=True):
        here = values[epochs >= least]
        if len(here) >= ENOUGH:
            break
    else:
        here = values
    return here.mean(axis=0), np.maximum(here.std(axis=0), 1e-9)


def finite(values: Array) -> Array:
    """What is not finite is worse than the worst by as much as that is worse than the best."""
    known = np.isfinite(values)
    some = known.any(axis=0)
    worst = np.where(some, np.max(values, axis=0, where=known, initial=-np.inf), 0.0)
    best = np.where(some, np.min(values, axis=0, where=known, initial=np.inf), 0.0)
    return np.where(known, values, 2 * worst - best)


def clipped(values: Array, epochs: Array, at: Sequence[float], generous: float) -> Array:
    """Values, the worst of those at like epochs (the nearest of `at`) counted as less bad.

    None is worse than the median by more than `generous` times what the best is better.
    """
    nearest = np.argmin(np.abs(np.log(epochs)[:, None] - np.log(at)[None, :]), axis=1)
    found = values.copy()
    for level in np.unique(nearest):
        here = nearest == level
        median, best = np.median(values[here], axis=0), values[here].min(axis=0)
        found[here] = np.minimum(values[here], median + generous * (median - best))
    return found
