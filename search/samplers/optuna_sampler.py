"""Optuna's samplers and pruners behind our contract.

They work on a mirror: a study in memory with the trials that are known. Trials that were ended
early are not told to a sampler: on curves that cross, their values mislead it. The seed of each
suggestion is made of the sweep's and the decision's number, so a resumed sweep suggests what an
unbroken one would.
"""

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from search.record import State
from search.samplers import HALF, Resume, Seen, Start, Task, Verdict, below_quota, rungs
from search.samplers.candidates import Candidates, Params
from search.samplers.mirror import Mirror, Refused
from search.samplers.supply import Supply
from spaces.space import nearest

_BATCHES, _BATCH = 20, 300  # what is drawn then, while nothing of it keeps the limits
_REJECTIONS = 30  # suggestions in a row that are known or infeasible, before others are drawn
_OURS = ("pause-halving", "none")
SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(
        seed=seed, multivariate=True, constant_liar=True, n_startup_trials=8
    ),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "qmc": lambda seed: optuna.samplers.QMCSampler(seed=seed, scramble=True),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
}
PRUNERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "halving": lambda epochs: optuna.pruners.SuccessiveHalvingPruner(
        min_resource=max(1, round(epochs / 9)), reduction_factor=3
    ),
    "hyperband": lambda epochs: optuna.pruners.HyperbandPruner(
        min_resource=max(1, round(epochs / 27)), max_resource=epochs, reduction_factor=3
    ),
    "median": lambda epochs: optuna.pruners.MedianPruner(n_warmup_steps=max(1, epochs // 9)),
    "wilcoxon": lambda _: optuna.pruners.WilcoxonPruner(),
}


def _made(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler of a name, or of an import path (`package.module:Class` or with dots)."""
    if name == "cmaes" and importlib.util.find_spec("cmaes") is None:
        raise ValueError("the sampler 'cmaes' needs a package: pip install cmaes")
    if name in SAMPLERS:
        with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
            return SAMPLERS[name](seed)
    module, _, attribute = name.replace(":", ".").rpartition(".")
    if not module:
        known = ["freeze-thaw", "grid", *SAMPLERS]
        raise ValueError(
            f"no sampler {name!r}{nearest(name, known)} (there are {', '.join(known)}, and any of "
            f"Optuna's by its import path)"
        )
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no sampler {name!r}: {error}") from None
    try:
        return kind(seed=seed)
    except TypeError:
        return kind()


class OptunaSampler:
    """The sampler `name` with a `pruner`; one objective pauses at rungs by default."""

    ends = ""

    def __init__(self, task: Task, name: str, pruner: str | None = None):
        pruner = pruner or ("none" if task.several else "pause-halving")
        if pruner not in (*_OURS, *PRUNERS):
            known = [*_OURS, *PRUNERS]
            said = f"no pruner {pruner!r}{nearest(pruner, known)} (there are {', '.join(known)})"
            raise ValueError(said)
        if task.several and pruner != "none":
            raise ValueError(f"the pruner {pruner!r} works for a single objective")
        self._task, self._name, self._pruner = task, name, pruner
        self._ordered = name == "grid"
        if not self._ordered:
            _made(name, 0)
        self._rungs = rungs(task.max_epochs)
        with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
            made = PRUNERS[pruner](task.max_epochs) if pruner in PRUNERS else None
        # what is asked for and refused has numbers too, from which verdicts may not follow
        self._asked, self._judged = Mirror(task, None), Mirror(task, made)
        self._supply = Supply(task)

    def restore(self, why: Mapping[str, Any]) -> None:
        """What was refused, and what the sampler noted of what was not."""
        self._supply.restore(why)
        if "place" in why:
            self._asked.recall(why)

    def judge(self, trial: Seen, seen: Sequence[Seen]) -> Verdict:
        if self._pruner == "pause-halving":
            return Verdict.PAUSE if trial.epoch in self._rungs else Verdict.GO_ON
        if self._pruner == "none":
            return Verdict.GO_ON
        return Verdict.STOP if self._judged.judge(trial, seen) else Verdict.GO_ON

    def ask(self, seen: Sequence[Seen], number: int, *, start: bool) -> Start | Resume | None:
        if (
            self._pruner == "pause-halving"
            and (paused := self._promoted(seen, start=start)) is not None
        ):
            return Resume(paused, {"because": "in the upper half of its rung"})
        if not start:
            return None
        pool = Candidates(
            self._task.feasibility, (t.params for t in seen), f"{self._task.seed} {number}"
        )
        if self._ordered:
            params = next(filter(self._task.feasibility.holds, pool.on_grid()), None)
            return None if params is None else Start(params, {"because": self._name})
        return self._suggested(pool, seen, number)

    def _promoted(self, seen: Sequence[Seen], *, start: bool) -> int | None:
        """The best paused trial of the highest rung from which fewer than half went on."""
        for rung in reversed(self._rungs):
            here = [t for t in seen if t.state == State.PAUSED and t.epoch == rung]
            if here and below_quota(rung, seen, HALF, start=start):
                return min(here, key=lambda t: t.curve[rung]).number
        return None

    def _suggested(self, pool: Candidates, seen: Sequence[Seen], number: int) -> Start | None:
        """What the sampler suggests; if it suggests nothing new and allowed, what is drawn."""
        mirror, space = self._asked, self._task.feasibility.space
        mirror.update(seen)
        entropy = np.random.SeedSequence((self._task.seed, number)).generate_state(1)[0]
        # a sequence is one, and its place in it is noted
        mirror.study.sampler = _made(
            self._name, self._task.seed if self._name == "qmc" else int(entropy)
        )
        refused: list[Refused] = []
        why: dict[str, Any] = {"because": self._name, "place": len(seen), "refused": refused}
        for _ in range(_REJECTIONS):
            trial = mirror.study.ask(mirror.distributions)
            params = space.effective({**space.fixed, **trial.params})
            if pool.take(params) and self._keeps(trial, params):
                return Start(params, why | mirror.begin(trial, len(seen)))
            mirror.study.tell(trial, state=TrialState.PRUNED)
            refused.append([dict(trial.params), mirror.attributes(trial)])
        params = self._drawn(pool, seen, number)
        return None if params is None else Start(params, why | self._supply.news())

    def _drawn(self, pool: Candidates, seen: Sequence[Seen], number: int) -> Params | None:
        """A random configuration; if quantities are costly, by estimates of them."""
        if self._task.costly:
            self._supply.begin(seen, number)
            return self._supply.far(1)
        for _ in range(_BATCHES):
            drawn = pool.fresh(_BATCH)
            params = next(filter(self._task.feasibility.holds, drawn), None)
            if params is not None or len(drawn) < _BATCH:
                return params
        return None

    def _keeps(self, trial: optuna.Trial, params: Params) -> bool:
        excesses = self._task.feasibility.excesses(params)
        for name, (excess, _) in excesses.items():
            if self._name != "gp":  # wants all of each trial; what breaks a rule has no others
                trial.set_constraint(name, excess)
        return all(excess <= 0 for excess, _ in excesses.values())
