"""What the curves so far say of the end of every curve: the data, the models, the predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.record import State
from search.samplers import Seen
from search.samplers.background import Background
from search.samplers.curve_model import CurveModel, Points, fit, prior
from search.samplers.values import ENOUGH, clipped, finite, measure

Array = NDArray[np.float64]
LEVELS = (9, 3, 1)  # parts of the full length at which a curve is looked at
LARGEST = 240  # points of a model: a suggestion costs the square of that, a fit the cube
_GROWTH = 1.15  # hyperparameters are fitted again when there are so many times the points


@dataclass(slots=True)
class Fitted:
    """Hyperparameters of the models, one row per objective, and the points there were then."""

    thetas: list[list[float]]
    points: int

    def outdated(self, width: int, total: int) -> bool:
        """Whether there are many more points by now, or an earlier version fitted another model."""
        others = any(len(theta) != len(prior(width)[0]) for theta in self.thetas)
        return others or total >= _GROWTH * self.points


@dataclass(frozen=True, slots=True)
class Posterior:
    """Predictions for the `trials` that were chosen, and for any configuration.

    `mean` (n, K) is what each of them reaches at full length, in standard deviations of the values
    (`shift` and `scale` (K,) lead back).
    """

    trials: list[Seen]
    x: Array
    mean: Array
    shift: Array
    scale: Array
    models: list[CurveModel]
    earlier: Background

    def of_trials(self, places: Sequence[int]) -> tuple[Array, Array]:
        """Means and deviations (m, K) of trials of `trials` at full length."""
        index = np.array(places)
        return self._at(Points(self.x[index], np.ones(len(index)), index))

    def of_new(self, x: Array) -> tuple[Array, Array]:
        """Means and deviations (m, K) of new configurations at full length."""
        x = self.earlier.beside(x)
        return self._at(Points(x, np.ones(len(x)), np.full(len(x), -1)))

    @property
    def noise(self) -> Array:
        """Deviations (K,) of what belongs to neither configuration nor epoch."""
        return np.array([model.noise for model in self.models])

    def _at(self, points: Points) -> tuple[Array, Array]:
        found = [model.predict(points, own=False) for model in self.models]
        means, variances = zip(*found, strict=True)
        return np.column_stack(means), np.sqrt(np.column_stack(variances))


def levels(max_epochs: int) -> list[int]:
    """The epochs at which a curve is looked at."""
    return sorted({max(1, round(max_epochs / part)) for part in LEVELS})


def chosen(seen: Sequence[Seen], max_epochs: int, most: int) -> tuple[list[int], int]:
    """Places of the trials that a model is made of, and how many points all trials have.

    All that have a curve, if they have at most `most` points. Else first what is running, then
    the best of each length in turn.
    """
    at, size = levels(max_epochs), dict[int, int]()
    groups: dict[int, list[int]] = {}
    total = 0
    for place, trial in enumerate(seen):
        if (epoch := trial.epoch) == 0:
            continue
        if epoch not in size:
            size[epoch] = sum(level <= epoch for level in at) + (epoch not in at)
        total += size[epoch]
        groups.setdefault(-1 if trial.state == State.RUNNING else epoch, []).append(place)
    if total <= most:
        return sorted(place for group in groups.values() for place in group), total
    ranked = [
        sorted(groups[group], key=lambda place: seen[place].curve[seen[place].epoch])
        for group in sorted(groups, key=lambda group: (group != -1, -group))
    ]
    room, kept = most, list[int]()
    for rank in range(max(map(len, ranked))):
        for group in ranked:
            if rank < len(group) and room >= size[seen[group[rank]].epoch]:
                kept.append(group[rank])
                room -= size[seen[group[rank]].epoch]
        if room <= 0:
            break
    return sorted(kept), total


def posterior(
    trials: list[Seen],
    x: Array,
    max_epochs: int,
    generous: float,
    fitted: Fitted | None,
    total: int,
    earlier: Background,
) -> tuple[Posterior, Fitted]:
    """Models of `trials`, whose columns are `x` (n, d), with running ones as if they had ended.

    The points of `earlier` sweeps are known beside them.

    A value that is worse than the median of its length by more than `generous` times what the best
    is better counts as no worse than that. Hyperparameters are those `fitted` before, unless there
    are many more points (`total`) by now.
    """
    rows = _rows(trials, max_epochs)
    place, epochs = rows[:, 0].astype(int), rows[:, 1]
    x = earlier.beside(x)
    points = Points(x[place], epochs / max_epochs, place)
    values = clipped(finite(rows[:, 2:]), epochs, levels(max_epochs), generous)
    shift, scale = measure(values, epochs)
    if len(trials) < ENOUGH:
        scale = np.maximum(scale, earlier.scale)
    points, values = earlier.add(points, (values - shift) / scale)
    if fitted is None or fitted.outdated(x.shape[1], total):
        thetas = [fit(points, column).tolist() for column in values.T]
        fitted = Fitted(thetas, total)
    everyone = np.arange(len(trials))
    ends = Points(x, np.ones(len(trials)), everyone)
    models, means = list[CurveModel](), list[Array]()
    running = np.array([trial.state == State.RUNNING for trial in trials])
    for theta, column in zip(fitted.thetas, values.T, strict=True):
        model = CurveModel(np.array(theta), points, column)
        mean, _ = model.predict(ends)
        if running.any():
            model = _with_ends(model, points, column, ends, mean, running)
        models.append(model)
        means.append(mean)
    return Posterior(trials, x, np.column_stack(means), shift, scale, models, earlier), fitted


def _with_ends(
    model: CurveModel,
    points: Points,
    values: Array,
    ends: Points,
    mean: Array,
    which: NDArray[np.bool_],
) -> CurveModel:
    """The model, if `which` trials had ended at their mean: what runs is not suggested again."""
    more = Points(
        np.vstack([points.x, ends.x[which]]),
        np.concatenate([points.t, ends.t[which]]),
        np.concatenate([points.trial, ends.trial[which]]),
    )
    return CurveModel(model.theta, more, np.concatenate([values, mean[which]]))


def _rows(trials: Sequence[Seen], max_epochs: int) -> Array:
    """Place, epoch and values of each point; the end of a complete trial is at full length."""
    at = levels(max_epochs)
    rows: list[tuple[float, ...]] = []
    for place, trial in enumerate(trials):
        for epoch in sorted({e for e in at if e in trial.curve} | {trial.epoch}):
            ended = trial.state == State.COMPLETE and epoch == trial.epoch
            rows.append((place, max_epochs if ended else epoch, *trial.curve[epoch]))
    return np.array(rows, dtype=float)
