"""Optuna's samplers and pruners behind our contract.

They work on a mirror: a study in memory with the trials that are known. Trials that were ended
early are not told to a sampler: on curves that cross, their values mislead it. The seed of each
suggestion is made of the sweep's and the decision's number, so a resumed sweep suggests what an
unbroken one would.
"""

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from search.record import State
from search.samplers import Resume, Seen, Start, Task, Verdict, rungs
from search.samplers.candidates import Candidates, Params
from search.sampling import distribution
from spaces.space import nearest

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
    if name in SAMPLERS:
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

    def __init__(self, task: Task, name: str, pruner: str | None = None):
        several = len(task.learned) + len(task.known) > 1
        pruner = pruner or ("none" if several else "pause-halving")
        if pruner not in (*_OURS, *PRUNERS):
            known = [*_OURS, *PRUNERS]
            said = f"no pruner {pruner!r}{nearest(pruner, known)} (there are {', '.join(known)})"
            raise ValueError(said)
        if several and pruner != "none":
            raise ValueError(f"the pruner {pruner!r} works for a single objective")
        self._task, self._name, self._pruner = task, name, pruner
        self._ordered = name == "grid"
        if not self._ordered:
            _made(name, 0)
        space = task.feasibility.space
        self._distributions = {n: distribution(domain) for n, domain in space.params.items()}
        self._rungs = rungs(task.max_epochs)
        self._mirror = optuna.create_study(
            directions=[StudyDirection.MINIMIZE] * (len(task.learned) + len(task.known)),
            pruner=PRUNERS[pruner](task.max_epochs) if pruner in PRUNERS else None,
        )
        self._storage: Any = cast(Any, self._mirror)._storage
        self._placed: dict[int, int] = {}  # of a trial, its id in the mirror

    def restore(self, why: Mapping[str, Any]) -> None:
        """Nothing: all that matters is in the trials."""

    def judge(self, trial: Seen, seen: Sequence[Seen]) -> Verdict:
        if self._pruner == "pause-halving":
            return Verdict.PAUSE if trial.epoch in self._rungs else Verdict.GO_ON
        if self._pruner == "none":
            return Verdict.GO_ON
        self._reflect(seen)
        frozen = self._storage.get_trial(self._placed[trial.number])
        stop = self._mirror.pruner.prune(self._mirror, frozen)
        return Verdict.STOP if stop else Verdict.GO_ON

    def ask(self, seen: Sequence[Seen], number: int, *, start: bool) -> Start | Resume | None:
        if (
            self._pruner == "pause-halving"
            and (paused := self._promoted(seen, start=start)) is not None
        ):
            return Resume(paused, {"because": "in the upper half of its rung"})
        if not start:
            return None
        params, refused = self._new(seen, number)
        if params is None:
            return None
        return Start(params, {"because": self._name} | ({"refused": refused} if refused else {}))

    def _promoted(self, seen: Sequence[Seen], *, start: bool) -> int | None:
        """The best paused trial of the highest rung from which fewer than half went on.

        When nothing else is left to do, one of them at least.
        """
        last = not start and not any(trial.state == State.RUNNING for trial in seen)
        for rung in reversed(self._rungs):
            here = [t for t in seen if t.state == State.PAUSED and t.epoch == rung]
            reached = sum(t.epoch >= rung for t in seen)
            beyond = sum(
                t.epoch > rung or (t.epoch == rung and t.state == State.RUNNING) for t in seen
            )
            if here and beyond < max(int(last), reached // 2):
                return min(here, key=lambda t: t.curve[rung]).number
        return None

    def _new(self, seen: Sequence[Seen], number: int) -> tuple[Params | None, int]:
        """A configuration that is new and keeps all limits, and how many did not before it."""
        space, feasibility = self._task.feasibility.space, self._task.feasibility
        seed = f"{self._task.seed} {number}"
        pool = Candidates(feasibility, (trial.params for trial in seen), seed)
        refused = 0
        if not self._ordered:
            self._reflect(seen)
            entropy = np.random.SeedSequence((self._task.seed, number)).generate_state(1)[0]
            self._mirror.sampler = _made(self._name, int(entropy))
            for refused in range(_REJECTIONS):
                trial = self._mirror.ask(self._distributions)
                params = {**space.fixed, **trial.params}
                fits = pool.take(params) and self._keeps(trial, params)
                # what is accepted is reflected when it comes back as a trial
                self._mirror.tell(trial, state=TrialState.FAIL if fits else TrialState.PRUNED)
                if fits:
                    return params, refused
        for params in pool.on_grid() if self._ordered else pool.fresh(_REJECTIONS * 10):
            if feasibility.holds(params):
                return params, refused
        return None, refused

    def _keeps(self, trial: optuna.Trial, params: Params) -> bool:
        excesses = self._task.feasibility.excesses(params)
        for name, (excess, _) in excesses.items():
            trial.set_constraint(name, excess)
        return all(excess <= 0 for excess, _ in excesses.values())

    def _reflect(self, seen: Sequence[Seen]) -> None:
        """Bring the mirror up to date."""
        storage = self._storage
        for trial in seen:
            if trial.number not in self._placed:
                template = create_trial(
                    state=TrialState.RUNNING,
                    params={name: trial.params[name] for name in self._distributions},
                    distributions=self._distributions,
                )
                study_id = cast(Any, self._mirror)._study_id
                self._placed[trial.number] = storage.create_new_trial(study_id, template)
            place = self._placed[trial.number]
            frozen = storage.get_trial(place)
            if frozen.state.is_finished():
                continue
            for epoch in sorted(trial.curve.keys() - frozen.intermediate_values.keys()):
                value = trial.curve[epoch][0]
                if math.isfinite(value):
                    storage.set_trial_intermediate_value(place, epoch, value)
            if trial.state == State.COMPLETE:
                known = [quantity(trial.params) for quantity in self._task.known.values()]
                values = [*trial.curve[trial.epoch], *known]
                storage.set_trial_state_values(place, TrialState.COMPLETE, values)
            elif trial.state.final:
                storage.set_trial_state_values(place, TrialState.FAIL)
