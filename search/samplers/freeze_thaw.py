"""Freeze-thaw search: curves are predicted to their end, trials pause, and the promising go on.

After Swersky, Snoek and Adams (2014), "Freeze-Thaw Bayesian Optimization", with the rungs of
successive halving (Jamieson and Talwalkar 2016) in place of their choice of when to look. Every
trial pauses at a ninth and at a third of the epochs. A free lane is given, from the highest rung
down, the paused trial with the best expected gain at full length, if fewer than half of those that
reached the rung have gone on from it; without that quota nothing ends, and predictions of ends are
confidently wrong. Else it is given what gains most for its cost, of the paused trials and of new
configurations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.record import State
from search.samplers import Resume, Seen, Start, Task, Verdict, rungs
from search.samplers.acquisition import Goal, leaders
from search.samplers.candidates import Candidates, Identity, Params, identity_of
from search.samplers.features import Counted, Features
from search.samplers.posterior import Fitted, Posterior, chosen, posterior

Array = NDArray[np.float64]
_QUOTA = 0.67  # of those that reached a rung go on from it
_NEW = 0.8  # what a new configuration costs, in full trainings: most are not trained to their end
_FIRST = 6  # configurations that are chosen to be far from each other
_READY = 2000  # random configurations that decisions take theirs from
_BATCHES = 50  # of random configurations, where few keep the limits
_POOL, _FAR = 300, 40  # random configurations that are compared, later and at first
_CENTRES, _NEAR = 6, 12  # the best trials, and configurations tried around each
_REFINED, _FINER = 6, 8  # the best candidates, and configurations tried around each of these
_SCALES = (0.15, 0.08, 0.04)  # of moves around the best trials, and of two rounds after it
_SINGLE, _SEVERAL = 3.0, 4.0  # how bad a value may count, see `posterior`
PRUNER = "pause-halving"


class FreezeThaw:
    """The sampler `freeze-thaw`.

    Its hyperparameters are noted with the decision for which they were fitted.
    """

    def __init__(self, task: Task, pruner: str | None = None):
        if pruner not in (None, PRUNER):
            raise ValueError(f"freeze-thaw pauses by itself; its pruner is {PRUNER!r}")
        self._task = task
        self.rungs = rungs(task.max_epochs)
        several = len(task.learned) + len(task.known) > 1
        self._generous = _SEVERAL if several else _SINGLE
        self._fitted: Fitted | None = None
        self._features: Features | None = None
        self._ready: list[Params] = []  # random configurations, drawn and encoded once
        self._known: set[Identity] = set()
        self._rows: list[Array] = []  # of the trials seen so far
        self._counted: list[Counted] = []  # costly quantities, from earlier decisions

    def restore(self, why: Mapping[str, Any]) -> None:
        if "thetas" in why:
            self._fitted = Fitted(why["thetas"], why["points"])
        self._counted += why.get("counted", [])

    def judge(self, trial: Seen, seen: Sequence[Seen]) -> Verdict:  # noqa: ARG002
        return Verdict.PAUSE if trial.epoch in self.rungs else Verdict.GO_ON

    @property
    def features(self) -> Features:
        if self._features is None:
            pool = Candidates(self._task.feasibility, (), f"{self._task.seed} ready")
            self._ready = pool.fresh(_READY)
            self._features = Features(self._task, self._ready, self._counted)
        return self._features

    def ask(self, seen: Sequence[Seen], number: int, *, start: bool) -> Start | Resume | None:
        decision = self._ask(seen, number, start=start)
        if decision is not None and (counted := self.features.news()):
            return decision._replace(why={**decision.why, "counted": counted})
        return decision

    def _ask(self, seen: Sequence[Seen], number: int, *, start: bool) -> Start | Resume | None:
        features, space = self.features, self._task.feasibility.space
        new = seen[len(self._rows) :]
        for trial in new:  # an estimate would be another one when the sweep goes on
            if trial.state not in (State.INFEASIBLE, State.DUPLICATE):
                features.learn(trial.params)
        self._known |= {identity_of(space, trial.params) for trial in new}
        self._rows += list(features([trial.params for trial in new]))
        seed, feasibility = f"{self._task.seed} {number}", self._task.feasibility
        pool = Candidates(feasibility, (), seed, self._ready, self._known)
        places, total = chosen(seen, self._task.max_epochs)
        few = sum(trial.state != State.INFEASIBLE for trial in seen) < _FIRST
        if start and (few or not places) and (far := self._far(pool, seen)) is not None:
            return far
        if not places:
            return None
        earlier, trials = self._fitted, [seen[place] for place in places]
        x = np.array([self._rows[place] for place in places])
        known, self._fitted = posterior(
            trials, x, self._task.max_epochs, self._generous, earlier, total
        )
        why: dict[str, Any] = {}
        if self._fitted is not earlier:
            why = {"thetas": self._fitted.thetas, "points": self._fitted.points}
        decided = self._decide(_Gains(self, known, number), pool, seen, start=start)
        if decided is None:
            self._fitted = earlier  # nothing is noted, so nothing may be kept
            return None
        return decided._replace(why=decided.why | why)

    def _decide(
        self, gains: "_Gains", pool: Candidates, seen: Sequence[Seen], *, start: bool
    ) -> Start | Resume | None:
        paused = gains.paused()
        # nothing else is left to do: of a few trials too, one is trained to its end
        last = not start and not any(trial.state == State.RUNNING for trial in seen)
        for rung in reversed(self.rungs):
            here = {place: gain for place, gain in paused.items() if gains.epoch(place) == rung}
            reached = [trial for trial in seen if trial.epoch >= rung]
            beyond = sum(t.epoch > rung or t.state == State.RUNNING for t in reached)
            if here and beyond < max(int(last), int(_QUOTA * len(reached))):
                return gains.resume(max(here, key=here.__getitem__), here, "quota")
        if not start:
            return None
        left = {place: 1 - gains.epoch(place) / self._task.max_epochs for place in paused}
        worth = {place: gain / left[place] for place, gain in paused.items()}
        best = max(worth, key=worth.__getitem__, default=None)
        new = gains.new(pool)
        if new is None:
            return None if best is None else gains.resume(best, paused, "nothing new is left")
        params, gain, why = new
        if best is not None and worth[best] >= gain / _NEW:
            return gains.resume(best, paused, "worth more than anything new")
        return Start(params, why)

    def _far(self, pool: Candidates, seen: Sequence[Seen]) -> Start | None:
        """Of some random configurations the one that is farthest from all before it."""
        drawn = self.fresh(pool, _FAR)[:_FAR]
        for params in self._by_distance(drawn, seen):
            if self.keeps(params):
                return Start(params, {"because": "far from all before it"})
        return None

    def fresh(self, pool: Candidates, count: int) -> list[Params]:
        """Some random configurations within all limits, more of them where few keep these."""
        found: list[Params] = []
        for _ in range(_BATCHES):
            batch = pool.fresh(_POOL)
            found += self.features.within(batch)
            if len(found) >= count or not batch:
                break
        return found[: max(count, _POOL)]

    def _by_distance(self, drawn: list[Params], seen: Sequence[Seen]) -> list[Params]:
        if not seen or not drawn:
            return drawn
        x, known = self.features(drawn), self.features([trial.params for trial in seen])
        nearest = ((x[:, None, :] - known[None, :, :]) ** 2).sum(axis=2).min(axis=1)
        return [drawn[i] for i in _falling(nearest)]

    def keeps(self, params: Params) -> bool:
        """Whether a configuration keeps all limits, counted exactly."""
        if not self._task.feasibility.holds(params):
            return False
        self.features.learn(params)
        return True

    def goal(self, known: Posterior, costs: Array, number: int) -> Goal:
        """What is to be improved on: complete trials, or all while there is none."""
        ended = [i for i, trial in enumerate(known.trials) if trial.state == State.COMPLETE]
        rng = np.random.default_rng((self._task.seed, number))
        places = ended or list(range(len(known.trials)))
        return Goal(known.mean[places], costs[places], rng)

    def costs(self, configurations: Sequence[Params]) -> Array:
        """The objectives known before training, (n, M)."""
        columns = [self.features.quantity(name, configurations) for name in self._task.known]
        return np.column_stack(columns) if columns else np.zeros((len(configurations), 0))


class _Gains:
    """Expected gains at one decision."""

    def __init__(self, sampler: FreezeThaw, known: Posterior, number: int):
        self._sampler, self._known = sampler, known
        self._costs = sampler.costs([trial.params for trial in known.trials])
        self._goal = sampler.goal(known, self._costs, number)

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

    def resume(self, place: int, gains: Mapping[int, float], because: str) -> Resume:
        mean, deviation = self._known.of_trials([place])
        why = {"because": because, "compared": len(gains), **self._said(mean[0], deviation[0])}
        return Resume(self._known.trials[place].number, why | {"gain": gains[place]})

    def new(self, pool: Candidates) -> tuple[Params, float, dict[str, Any]] | None:
        """The new configuration with the largest gain that keeps all limits."""
        ranked = leaders(self._objectives(), _CENTRES)
        centres = [self._known.trials[i].params for i in ranked]
        within = self._sampler.features.within
        found = self._sampler.fresh(pool, _POOL // 3) + within(
            pool.near(centres, _NEAR, _SCALES[0])
        )
        if not found:
            return None
        gains = self._of(found)
        for scale in _SCALES[1:]:
            best = [found[i] for i in _falling(gains)[:_REFINED]]
            if more := within(pool.near(best, _FINER, scale)):
                found, gains = found + more, np.concatenate([gains, self._of(more)])
        for i in _falling(gains):
            if self._sampler.keeps(found[i]):
                mean, deviation = self._known.of_new(self._sampler.features([found[i]]))
                why = {"because": "largest gain", "compared": len(found), "gain": float(gains[i])}
                return found[i], float(gains[i]), why | self._said(mean[0], deviation[0])
        return None

    def _objectives(self) -> Array:
        return np.column_stack([self._known.mean, self._costs])

    def _of(self, configurations: list[Params]) -> Array:
        mean, deviation = self._known.of_new(self._sampler.features(configurations))
        return self._goal(mean, deviation, self._sampler.costs(configurations))

    def _said(self, mean: Array, deviation: Array) -> dict[str, Any]:
        """The prediction, in the units of the objectives."""
        scale, shift = self._known.scale, self._known.shift
        return {
            "expected": (mean * scale + shift).tolist(),
            "deviation": (deviation * scale).tolist(),
        }


def _falling(values: Array) -> list[int]:
    """Places of values, the largest first."""
    return [int(i) for i in np.argsort(-values, kind="stable")]
