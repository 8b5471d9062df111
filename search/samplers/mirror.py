"""The trials of a sweep as a study of Optuna's in memory, for its samplers and pruners.

What a sampler left with its suggestions, and those that were refused, are noted with the decisions
and come back in their places, so that the mirror of a resumed sweep is that of an unbroken one.

A sampler is asked for all parameters, since most of Optuna's know no others than what all trials
have; what of that has no effect stays in the mirror, where trials that lack it have drawn values.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from search.record import State
from search.samplers import Seen, Task
from search.samplers.candidates import Params
from search.sampling import distribution

Refused = list[dict[str, Any]]  # parameters, and what Optuna noted of them


class Mirror:
    """Follows the trials of `task`; `pruner` judges them."""

    def __init__(self, task: Task, pruner: optuna.pruners.BasePruner | None):
        self._task, self._pruned = task, pruner is not None
        space = task.feasibility.space
        self.distributions = {n: distribution(domain) for n, domain in space.params.items()}
        self.study = optuna.create_study(
            study_name="mirror",  # part of what Hyperband's brackets follow from
            directions=[StudyDirection.MINIMIZE] * (len(task.learned) + len(task.known)),
            pruner=pruner,
        )
        self._storage: Any = cast(Any, self.study)._storage
        self._placed: dict[int, int] = {}  # of a trial, its id in the mirror
        self._noted: dict[int, Mapping[str, Any]] = {}
        self._begun: dict[int, int] = {}

    def recall(self, why: Mapping[str, Any]) -> None:
        """Know of a decision of an earlier driver."""
        self._noted[why["place"]] = why

    def begin(self, trial: optuna.Trial, place: int) -> dict[str, Any]:
        """This comes back as the trial at `place`; returns what is to be noted of it."""
        self._begun[place] = cast(Any, trial)._trial_id
        study_id = cast(Any, self.study)._study_id
        of_study = dict(self._storage.get_study_system_attrs(study_id))
        told = {"attributes": self.attributes(trial), "of_study": of_study}
        kept = self._task.feasibility.space.effective(trial.params)
        idle = {name: value for name, value in trial.params.items() if name not in kept}
        return told | ({"without_effect": idle} if idle else {})

    def attributes(self, trial: optuna.Trial) -> dict[str, Any]:
        return dict(self._storage.get_trial(cast(Any, trial)._trial_id).system_attrs)

    def judge(self, trial: Seen, seen: Sequence[Seen]) -> bool:
        """Whether the pruner ends `trial` after its last epoch."""
        self.update(seen, judged=trial)
        return self._prune(self._placed[trial.number])

    def update(self, seen: Sequence[Seen], judged: Seen | None = None) -> None:
        """Bring the mirror up to date. A pruner is shown each epoch once, as it keeps rungs."""
        for position, trial in enumerate(seen):
            if trial.number not in self._placed:
                self._placed[trial.number] = self._place(trial, position)
            self._follow(trial, self._placed[trial.number], judged)

    def _place(self, trial: Seen, position: int) -> int:
        if position in self._begun:
            return self._begun.pop(position)
        why = self._noted.pop(position, {})
        for params, attributes in why.get("refused", ()):
            self._add(TrialState.PRUNED, params, attributes)
        for name, value in why.get("of_study", {}).items():
            self._storage.set_study_system_attr(cast(Any, self.study)._study_id, name, value)
        rng, space = random.Random(trial.number), self._task.feasibility.space
        drawn = {name: domain.draw(rng) for name, domain in space.params.items()}
        params = {**drawn, **why.get("without_effect", {}), **trial.params}
        return self._add(TrialState.RUNNING, params, why.get("attributes", {}))

    def _add(self, state: TrialState, params: Params, attributes: Mapping[str, Any]) -> int:
        template = create_trial(
            state=state,
            params={name: params[name] for name in self.distributions},
            distributions=self.distributions,
            system_attrs=dict(attributes),
        )
        return self._storage.create_new_trial(cast(Any, self.study)._study_id, template)

    def _follow(self, trial: Seen, place: int, judged: Seen | None) -> None:
        frozen = self._storage.get_trial(place)
        if frozen.state.is_finished():
            return
        for epoch in sorted(trial.curve.keys() - frozen.intermediate_values.keys()):
            value = trial.curve[epoch][0]
            if math.isfinite(value):
                self._storage.set_trial_intermediate_value(place, epoch, value)
            if self._pruned and (trial is not judged or epoch < trial.epoch):
                self._prune(place)
        if trial.state == State.COMPLETE:
            known = [quantity(trial.params) for quantity in self._task.known.values()]
            values = [*trial.curve[trial.epoch], *known]
            self._storage.set_trial_state_values(place, TrialState.COMPLETE, values)
        elif trial.state.final:
            self._storage.set_trial_state_values(place, TrialState.FAIL)

    def _prune(self, place: int) -> bool:
        return self.study.pruner.prune(self.study, self._storage.get_trial(place))
