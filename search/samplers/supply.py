"""New configurations within all limits, and all configurations as a model sees them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.record import State
from search.samplers import Seen, Task
from search.samplers.candidates import Candidates, Identity, Params, identity_of
from search.samplers.features import Counted, Features

Array = NDArray[np.float64]
POOL = 300  # random configurations that are compared
_READY = 2000  # random configurations that decisions take theirs from
_BATCHES = 50  # of random configurations, where few keep the limits


class Supply:
    """What may be trained, decision by decision: `begin` comes first.

    Costly quantities that were counted are `news` to be noted, and given back to `restore`.
    """

    def __init__(self, task: Task):
        self._task = task
        self._counted: list[Counted] = []  # by earlier decisions
        self._ready: list[Params] = []  # drawn and encoded once
        self._known: set[Identity] = set()
        self._rows: list[Array] = []  # of the trials seen so far
        self._pool = Candidates(task.feasibility, (), "")

    def restore(self, why: Mapping[str, Any]) -> None:
        self._counted += why.get("counted", [])

    def news(self) -> dict[str, Any]:
        counted = self.features.news()
        return {"counted": counted} if counted else {}

    @cached_property
    def features(self) -> Features:
        feasibility, seed = self._task.feasibility, f"{self._task.seed} ready"
        self._ready = Candidates(feasibility, (), seed).fresh(_READY)
        return Features(self._task, self._ready, self._counted)

    def begin(self, seen: Sequence[Seen], number: int) -> None:
        """Know of all trials, for the decision with that number."""
        features, space = self.features, self._task.feasibility.space
        new = seen[len(self._rows) :]
        for trial in new:  # an estimate would be another one when the sweep goes on
            if trial.state not in (State.INFEASIBLE, State.DUPLICATE):
                features.learn(trial.params)
        self._known |= {identity_of(space, trial.params) for trial in new}
        self._rows += list(features([trial.params for trial in new]))
        seed = f"{self._task.seed} {number}"
        self._pool = Candidates(self._task.feasibility, (), seed, self._ready, self._known)

    def rows(self, places: Sequence[int]) -> Array:
        """The columns of trials, by their places."""
        return np.array([self._rows[place] for place in places])

    def fresh(self, count: int) -> list[Params]:
        """Some random configurations within all limits, more of them where few keep these."""
        found: list[Params] = []
        for _ in range(_BATCHES):
            batch = self._pool.fresh(POOL)
            found += self.features.within(batch)
            if len(found) >= count or not batch:
                break
        return found

    def near(self, centres: Sequence[Params], count: int, scale: float) -> list[Params]:
        """Configurations within all limits around each of `centres`, see `Candidates.near`."""
        return self.features.within(self._pool.near(centres, count, scale))

    def far(self, count: int) -> Params | None:
        """Of `count` random configurations the one that is farthest from all trials."""
        drawn = self.fresh(count)[:count]
        if self._rows and drawn:
            x, known = self.features(drawn), np.array(self._rows)
            nearest = ((x[:, None, :] - known[None, :, :]) ** 2).sum(axis=2).min(axis=1)
            drawn = [drawn[i] for i in falling(nearest)]
        return self.first(drawn)

    def first(self, ordered: Sequence[Params]) -> Params | None:
        """The first configuration that keeps all limits, counted exactly.

        What is counted of one that does not makes the estimates of those behind it better, and some
        of them need not be counted any more.
        """
        left = list(ordered)
        while left:
            params = left.pop(0)
            if self.features.keeps(params):
                return params
            left = self.features.within(left)
        return None

    def costs(self, configurations: Sequence[Params]) -> Array:
        """The objectives known before training, (n, M)."""
        columns = [self.features.quantity(name, configurations) for name in self._task.known]
        return np.column_stack(columns) if columns else np.zeros((len(configurations), 0))


def falling(values: Array) -> list[int]:
    """Places of values, the largest first."""
    return [int(i) for i in np.argsort(-values, kind="stable")]
