"""What earlier sweeps showed, as points of the curve model beside those of the sweep itself.

Each earlier sweep has a column of its own, 1 at its points and 0 elsewhere: by the length scale and
the slope of that column the model learns how much the sweep is like this one. Values of another
sweep may have another scale (other data, another budget), so each is standardised by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.samplers import Earlier
from search.samplers.candidates import Params
from search.samplers.curve_model import Points
from search.samplers.values import clipped, finite, measure

Array = NDArray[np.float64]
Encode = Callable[[Sequence[Params]], Array]
_FIRST = -2  # trials count from here downwards: a new one is -1, those of this sweep are above it


@dataclass(frozen=True, slots=True)
class Background:
    """Points of the `trials` of earlier `sweeps`, and their standardised values (n, K).

    `scale` (K,) is how much ends differ, while this sweep has too few to tell; 0 if there are none.
    """

    points: Points
    values: Array
    sweeps: int
    trials: int
    scale: Array

    def __len__(self) -> int:
        return len(self.points)

    def beside(self, x: Array) -> Array:
        """Columns of this sweep, with those that tell earlier sweeps apart: it is none of them."""
        return np.hstack([x, np.zeros((len(x), self.sweeps))])

    def add(self, points: Points, values: Array) -> tuple[Points, Array]:
        """Points of this sweep, whose columns have these `beside` them, and ours after them."""
        return _joined([points, self.points]), np.vstack([values, self.values])


def background(
    earlier: Sequence[Earlier], encode: Encode, objectives: int, generous: float
) -> Background:
    """The points of `earlier` trials, as `encode` sees their configurations.

    Hopeless values are cut off as those of this sweep are, see `values.clipped`.
    """
    earlier = [trial for trial in earlier if trial.curve]
    sweeps = list(dict.fromkeys(trial.sweep for trial in earlier))
    width = encode([]).shape[1] + len(sweeps)
    points = [Points(np.empty((0, width)), np.empty(0), np.empty(0, dtype=int))]
    values, scales = [np.empty((0, objectives))], [np.zeros(objectives)]
    for place, sweep in enumerate(sweeps):
        trials = [trial for trial in earlier if trial.sweep == sweep]
        mark = np.zeros((len(trials), len(sweeps)))
        mark[:, place] = 1.0
        x = np.hstack([encode([trial.params for trial in trials]), mark])
        told = [(i, t, *v) for i, trial in enumerate(trials) for t, v in trial.curve.items()]
        rows = np.array(told, dtype=float)
        which, shares = rows[:, 0].astype(int), rows[:, 1]
        seen = clipped(finite(rows[:, 2:]), shares, sorted(set(shares.tolist())), generous)
        shift, scale = measure(seen, shares)
        before = sum(len(known) for known in points)  # more than there are trials
        points.append(Points(x[which], shares, _FIRST - before - which))
        values.append((seen - shift) / scale)
        scales.append(scale)
    scale = np.median(scales[1:] or scales, axis=0)
    return Background(_joined(points), np.vstack(values), len(sweeps), len(earlier), scale)


def _joined(parts: Sequence[Points]) -> Points:
    return Points(
        np.vstack([part.x for part in parts]),
        np.concatenate([part.t for part in parts]),
        np.concatenate([part.trial for part in parts]),
    )
