"""Freeze-thaw search: curves are predicted to their end, trials pause, and the promising go on.

After Swersky, Snoek and Adams (2014), "Freeze-Thaw Bayesian Optimization", with the rungs of
successive halving (Jamieson and Talwalkar 2016) in place of their choice of when to look. Every
trial pauses at a ninth and at a third of the epochs. A free lane is given, from the highest rung
down, the paused trial with the best expected gain at full length, if fewer than two thirds of those
that reached the rung have gone on from it; without that quota nothing ends, and predictions of ends
are confidently wrong. Else it is given what gains most for its cost, of the paused trials and of
new configurations.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from search.record import State
from search.samplers import QUOTA, Resume, Seen, Start, Task, Verdict, below_quota, rungs
from search.samplers.background import Background, background
from search.samplers.gains import Gains
from search.samplers.posterior import LARGEST, Fitted, chosen, posterior
from search.samplers.supply import Supply

_NEW = 0.8  # what a new configuration costs, in full trainings: most are not trained to their end
_FIRST, _FAR = 6, 40  # configurations that are far from each other, and of how many each is one
_SINGLE, _SEVERAL = 3.0, 4.0  # how bad a value may count, see `posterior`
PRUNER = "pause-halving"


class FreezeThaw:
    """The sampler `freeze-thaw`.

    Its hyperparameters are noted with the decision for which they were fitted.
    """

    ends = ""

    def __init__(self, task: Task, pruner: str | None = None):
        if pruner not in (None, PRUNER):
            raise ValueError(f"freeze-thaw pauses by itself; its pruner is {PRUNER!r}")
        self._task, self._supply = task, Supply(task)
        self._rungs = rungs(task.max_epochs)
        self._generous = _SEVERAL if task.several else _SINGLE
        self._fitted: Fitted | None = None

    @cached_property
    def _earlier(self) -> Background:
        task = self._task
        return background(
            task.earlier, self._supply.features.of_parameters, len(task.learned), self._generous
        )

    def restore(self, why: Mapping[str, Any]) -> None:
        if "thetas" in why:
            self._fitted = Fitted(why["thetas"], why["points"])
        self._supply.restore(why)

    def judge(self, trial: Seen, seen: Sequence[Seen]) -> Verdict:  # noqa: ARG002
        return Verdict.PAUSE if trial.epoch in self._rungs else Verdict.GO_ON

    def ask(self, seen: Sequence[Seen], number: int, *, start: bool) -> Start | Resume | None:
        earlier = self._fitted
        self._supply.begin(seen, number)
        decision = self._ask(seen, number, start=start)
        if decision is None:
            self._fitted = earlier  # nothing is noted, so nothing may be kept
            return None
        why = decision.why | self._supply.news()
        if self._fitted is not None and self._fitted is not earlier:
            why |= {"thetas": self._fitted.thetas, "points": self._fitted.points}
        return decision._replace(why=why)

    def _ask(self, seen: Sequence[Seen], number: int, *, start: bool) -> Start | Resume | None:
        earlier = self._earlier
        places, total = chosen(seen, self._task.max_epochs, LARGEST - len(earlier))
        begun = sum(trial.state != State.INFEASIBLE for trial in seen)
        few = begun + earlier.trials < _FIRST
        if start and (few or not places) and (far := self._supply.far(_FAR)) is not None:
            return Start(far, {"because": "far from all before it"})
        if not places:
            return None
        known, self._fitted = posterior(
            [seen[place] for place in places],
            self._supply.rows(places),
            self._task.max_epochs,
            self._generous,
            self._fitted,
            total,
            earlier,
        )
        rng = np.random.default_rng((self._task.seed, number))
        return self._decide(Gains(self._supply, known, rng), seen, start=start)

    def _decide(self, gains: Gains, seen: Sequence[Seen], *, start: bool) -> Start | Resume | None:
        paused = gains.paused()
        for rung in reversed(self._rungs):
            here = {place: gain for place, gain in paused.items() if gains.epoch(place) == rung}
            if here and below_quota(rung, seen, QUOTA, start=start):
                return gains.resume(max(here, key=here.__getitem__), here, "quota")
        if not start:
            return None
        left = {place: 1 - gains.epoch(place) / self._task.max_epochs for place in paused}
        worth = {place: gain / left[place] for place, gain in paused.items()}
        best = max(worth, key=worth.__getitem__, default=None)
        new = gains.new()
        if new is None:
            return None if best is None else gains.resume(best, paused, "nothing new is left")
        params, gain, why = new
        most = gains.in_noise(max(gain, *paused.values()) if paused else gain)
        if best is not None and worth[best] >= gain / _NEW:
            decision = gains.resume(best, paused, "worth more than anything new")
            return decision._replace(why=decision.why | most)
        return Start(params, why | most)
