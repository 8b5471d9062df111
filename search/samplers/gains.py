"""What trials and new configurations are expected to gain at full length, at one decision."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.record import State
from search.samplers import Resume
from search.samplers.acquisition import Goal, leaders
from search.samplers.candidates import Params
from search.samplers.posterior import Posterior
from search.samplers.settled import IN_NOISE
from search.samplers.supply import POOL, Supply, falling

Array = NDArray[np.float64]
_CENTRES, _NEAR = 6, 12  # the best trials, and configurations tried around each
_REFINED, _FINER = 6, 8  # the best candidates, and configurations tried around each of these
_SCALES = (0.15, 0.08, 0.04)  # of moves around the best trials, and of two rounds after it


class Gains:
    """Expected gains, given what is `known` of the chosen trials. `rng` weighs objectives."""

    def __init__(self, supply: Supply, known: Posterior, rng: np.random.Generator):
        self._supply, self._known = supply, known
        self._costs = supply.costs([trial.params for trial in known.trials])
        ended = [i for i, trial in enumerate(known.trials) if trial.state == State.COMPLETE]
        self._ended = bool(ended)
        places = ended or list(range(len(known.trials)))  # while none has ended, any may be beaten
        self._goal = Goal(known.mean[places], self._costs[places], rng)

    def epoch(self, place: int) -> int:
        return self._known.trials[place].epoch

    def paused(self) -> dict[int, float]:
        """The gain of each paused trial, by its place."""
        places = [i for i, t in enumerate(self._known.trials) if t.state == State.PAUSED]
        if not places:
            return {}
        mean, deviation = self._known.of_trials(places)
        gains = self._goal(mean, deviation, self._costs[places])
        return dict(zip(places, gains.tolist(), strict=True))

    def in_noise(self, gain: float) -> dict[str, float]:
        """The largest gain for `settled`; while no front has ended, nothing is said of it."""
        unit = self._goal.of_noise(self._known.noise)
        return {IN_NOISE: gain / unit} if self._ended and unit > 0 else {}

    def resume(self, place: int, gains: Mapping[int, float], because: str) -> Resume:
        mean, deviation = self._known.of_trials([place])
        why = {"because": because, "compared": len(gains), **self._said(mean[0], deviation[0])}
        return Resume(self._known.trials[place].number, why | {"gain": gains[place]})

    def new(self) -> tuple[Params, float, dict[str, Any]] | None:
        """The new configuration with the largest gain that keeps all limits."""
        ranked = leaders(np.column_stack([self._known.mean, self._costs]), _CENTRES)
        centres = [self._known.trials[i].params for i in ranked]
        found = self._supply.fresh(POOL // 3) + self._supply.near(centres, _NEAR, _SCALES[0])
        if not found:
            return None
        gains = self._of(found)
        for scale in _SCALES[1:]:
            best = [found[i] for i in falling(gains)[:_REFINED]]
            if more := self._supply.near(best, _FINER, scale):
                found, gains = found + more, np.concatenate([gains, self._of(more)])
        ordered = falling(gains)
        params = self._supply.first([found[i] for i in ordered])
        if params is None:
            return None
        gain = next(float(gains[i]) for i in ordered if found[i] is params)
        mean, deviation = self._known.of_new(self._supply.features([params]))
        why = {"because": "largest gain", "compared": len(found), "gain": gain}
        return params, gain, why | self._said(mean[0], deviation[0])

    def _of(self, configurations: list[Params]) -> Array:
        mean, deviation = self._known.of_new(self._supply.features(configurations))
        return self._goal(mean, deviation, self._supply.costs(configurations))

    def _said(self, mean: Array, deviation: Array) -> dict[str, Any]:
        """The prediction, in the units of the objectives."""
        scale, shift = self._known.scale, self._known.shift
        return {
            "expected": (mean * scale + shift).tolist(),
            "deviation": (deviation * scale).tolist(),
        }
