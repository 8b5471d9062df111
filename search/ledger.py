"""A study in its storage: a suggestion is one write, an epoch is one, and it is read once.

Optuna's own way of asking opens a transaction for each parameter and looks at all trials again.
"""

import copy
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.record import ACCEPTED, Record, State
from search.sampling import OUTCOMES, distribution
from spaces.space import Space, Value

CURVE = "curve"  # attribute: of several objectives, the values after each epoch


class Ledger:
    """Writes what becomes of the trials of `study`, whose parameters are those of `space`."""

    def __init__(self, study: optuna.Study, space: Space, objectives: int):
        self._study, self._private = study, cast(Any, study)  # Optuna's storage has no other door
        self._storage: Any = self._private._storage
        self._distributions = {name: distribution(d) for name, d in space.params.items()}
        self._several = objectives > 1
        self._ids: dict[int, int] = {}
        self._curves: dict[int, dict[int, list[float]]] = {}
        self.count = 0  # of all trials, among them suggestions that were refused

    def read(self) -> Iterator[tuple[FrozenTrial, Record]]:
        """The trials of the study, in their order.

        What was cut off while it was asked is ended, and what is still to be asked is not here.
        """
        for frozen in self._study.get_trials(deepcopy=False):
            self.count = frozen.number + 1
            self._ids[frozen.number] = cast(Any, frozen)._trial_id
            attributes = frozen.user_attrs
            judged = attributes.get(ACCEPTED) or "state" in attributes
            if "trial_key" in attributes and judged:
                yield frozen, Record.noted(frozen.number, attributes, curve=self._curve(frozen))
            elif frozen.state == TrialState.RUNNING:
                self.end(frozen.number, State.FAILED, None)

    def _curve(self, frozen: FrozenTrial) -> dict[int, tuple[float, ...]]:
        several = frozen.user_attrs.get(CURVE)
        if several is None:
            return {epoch: (value,) for epoch, value in sorted(frozen.intermediate_values.items())}
        self._curves[frozen.number] = {int(epoch): values for epoch, values in several.items()}
        return {epoch: tuple(values) for epoch, values in self._curves[frozen.number].items()}

    def waiting(self) -> Iterator[tuple[str, dict[str, Value]]]:
        """Published points, by source, that an earlier version enqueued; they wait no longer."""
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            if "fixed_params" in frozen.system_attrs:
                source = frozen.user_attrs.get("published", "published")
                yield source, frozen.system_attrs["fixed_params"]
            self.end(frozen.number, State.FAILED, None)

    def add(self, params: Mapping[str, Value], attributes: Mapping[str, Any]) -> int:
        """A new trial, complete in one write; returns its number."""
        searched = {n: found for n, found in self._distributions.items() if n in params}
        template = create_trial(
            state=TrialState.RUNNING,
            params={name: params[name] for name in searched},
            distributions=searched,
            user_attrs=dict(attributes),
        )
        template.datetime_start = datetime.now()
        trial_id = self._storage.create_new_trial(self._private._study_id, template)
        number, self.count = self.count, self.count + 1
        self._ids[number] = trial_id
        return number

    def report(self, number: int, epoch: int, values: tuple[float, ...]) -> None:
        if self._several:
            curve = self._curves.setdefault(number, {})
            curve[epoch] = list(values)
            self.note(number, **{CURVE: curve})
        else:
            self._storage.set_trial_intermediate_value(self._ids[number], epoch, values[0])

    def note(self, number: int, **attributes: Any) -> None:
        for name, value in attributes.items():
            self._storage.set_trial_user_attr(self._ids[number], name, copy.copy(value))

    def end(self, number: int, state: State, values: list[float] | None) -> None:
        """The trial's last word, unless it has had that already."""
        told = values if state == State.COMPLETE else None
        try:
            self._storage.set_trial_state_values(self._ids[number], OUTCOMES[state], told)
        except optuna.exceptions.UpdateFinishedTrialError:
            return
