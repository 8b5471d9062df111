"""The truth of a sweep: an Optuna study, asked for trials and told what became of them.

Knows no Ray: `searcher` and `stopping` bring it to Tune, `simulate` to simulated time. Nothing is
kept in memory that the study's storage does not hold.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.enumeration import enumerable, untried
from search.feasibility import Constraints, Feasibility
from search.record import ACCEPTED, Record, State, config_hash
from search.sampling import OUTCOMES, sampler, suggest
from spaces.space import Space, Value

REJECTIONS = 300  # suggestions in a row that may be infeasible or known before a search gives up
SAMPLED = 20  # of them are the sampler's, if the space is finite; the others enumerate it


class SweepStudy:
    """Ask, report and tell, over an Optuna study and a space.

    `directions` names the objectives (`{"valid_top1": "max"}`) in the order of the study's. Early
    stopping is the study's pruner and works for a single objective. `constraints` name quantities
    known before training, each with its function of the parameters and its upper limit.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        *,
        directions: Mapping[str, str],
        image_size: int = 224,
        trials: float = math.inf,
        seed: int = 0,
        constraints: Constraints | None = None,
    ):
        self.space, self.trials = space, trials
        self.listeners: list[Callable[[Record], None]] = []
        self._study, self._directions = study, dict(directions)
        self._seed = seed
        self.feasibility = Feasibility(space, image_size, constraints or {})
        self._rest: Iterator[dict[str, Value]] | None = None  # of a finite space
        self._better = max if next(iter(self._directions.values())) == "max" else min
        self._live: dict[str, optuna.Trial] = {}
        self.records: dict[str, Record] = {}
        self._known: dict[str, str] = {}
        self._interrupted: list[str] = []
        self._half_asked: list[int] = []  # storage ids of published points cut off while asked
        self.gave_up, self.exhausted = "", False
        for frozen in study.get_trials(deepcopy=False):
            self._remember(frozen)

    def _remember(self, frozen: FrozenTrial) -> None:
        attributes = frozen.user_attrs
        judged = attributes.get(ACCEPTED) or "state" in attributes
        if "trial_key" not in attributes or not judged:  # waiting, or cut off while being asked
            if frozen.state == TrialState.RUNNING and "published" in attributes:
                self._half_asked.append(frozen._trial_id)
            elif frozen.state == TrialState.RUNNING:  # the next one is asked with the same seed
                self._study.tell(frozen.number, state=TrialState.FAIL)
            return
        record = Record.noted(
            frozen.number, attributes, epoch=frozen.last_step or 0, value=self._best_of(frozen)
        )
        if frozen.state == TrialState.RUNNING:
            if record.state != State.RUNNING:  # told, but cut off before the study knew
                self._tell(frozen.number, record.state, attributes.get("values"))
            else:
                self._live[record.key] = optuna.trial.Trial(self._study, frozen._trial_id)
                self._interrupted.append(record.key)
        self.records[record.key] = record
        if record.state != State.DUPLICATE:
            self._known[config_hash(record.params)] = record.key

    def _best_of(self, frozen: FrozenTrial) -> float | None:
        if frozen.values:
            return frozen.values[0]
        values = [v for v in frozen.intermediate_values.values() if math.isfinite(v)]
        return self._better(values) if values else None

    @property
    def accepted(self) -> list[Record]:
        """The trials that were accepted for training, in their order."""
        return [record for record in self.records.values() if record.accepted]

    def stored(self) -> dict[str, FrozenTrial]:
        """The trials as the study's storage has them, by key."""
        trials = self._study.get_trials(deepcopy=False)
        return {t.user_attrs["trial_key"]: t for t in trials if "trial_key" in t.user_attrs}

    @property
    def unfinished(self) -> bool:
        """Whether trials are running or missing."""
        running = any(record.state == State.RUNNING for record in self.accepted)
        return running or (len(self.accepted) < self.trials and not self.gave_up)

    def enqueue(self, params: Mapping[str, Value], published: str) -> None:
        """Try `params` before anything is sampled, once in the life of the study."""
        self._study.enqueue_trial(dict(params), {"published": published}, skip_if_exists=True)

    def next(self) -> Record | None:
        """The next trial to run: an interrupted one first, else a new one; None if all are out.

        None too, with the reason in `gave_up`, if nothing feasible and new can be found; that is
        `exhausted` if the space is finite and holds no other.
        """
        if self._interrupted:
            return self.records[self._interrupted.pop(0)]
        if len(self.accepted) >= self.trials:
            return None
        for rejections in range(REJECTIONS):
            if rejections >= SAMPLED and enumerable(self.space) and not self._enqueue_untried():
                break
            record = self._ask()
            if record.state == State.RUNNING:
                self._announce(record)
                return record
        if self.exhausted:
            self.gave_up = f"every configuration was tried: {len(self.accepted)}"
            return None
        refused = [record for record in self.records.values() if record.reason]
        refused.sort(key=lambda record: record.state == State.INFEASIBLE)  # those say more
        self.gave_up = (
            f"{REJECTIONS} suggestions in a row were infeasible or known, the last because: "
            f"{refused[-1].reason}; loosen the limit or widen the space"
        )
        return None

    def _enqueue_untried(self) -> bool:
        """Have another configuration of a finite space asked next; whether there was one."""
        if self._rest is None:
            self._rest = untried(self.feasibility, self._known.keys(), self._seed)
        params = next(self._rest, None)
        if params is not None:
            self._study.enqueue_trial(params)
        self.exhausted = params is None and bool(self.accepted)
        return params is not None

    def _ask(self) -> Record:
        self._study.sampler = sampler(self._seed, len(self.records))
        if self._half_asked:
            trial = optuna.trial.Trial(self._study, self._half_asked.pop(0))
        else:
            trial = self._study.ask()
        drawn = {name: suggest(trial, name, domain) for name, domain in self.space.params.items()}
        params = {**self.space.fixed, **drawn}
        identity = config_hash(params)
        key = f"{trial.number:05d}-{identity[:8]}"
        state, reason = self._judge(trial, params, identity)
        record = Record(
            number=trial.number,
            key=key,
            params=params,
            state=state,
            reason=reason,
            published=trial.user_attrs.get("published", ""),
            accepted=state == State.RUNNING,
        )
        for name, value in (("params", params), (ACCEPTED, record.accepted), ("trial_key", key)):
            trial.set_user_attr(name, value)
        self.records[key] = record
        if state == State.RUNNING:
            self._live[key], self._known[identity] = trial, key
        else:
            self._conclude(trial, state, reason)
            self._known.setdefault(identity, key)
        return record

    def _judge(
        self, trial: optuna.Trial, params: dict[str, Value], identity: str
    ) -> tuple[State, str]:
        """Whether a suggestion is worth training. What it breaks is told as a constraint."""
        if identity in self._known:
            return State.DUPLICATE, f"the same configuration as {self._known[identity]}"
        excesses = self.feasibility.excesses(params)
        for name, (excess, _) in excesses.items():
            trial.set_constraint(name, excess)
        reasons = [reason for excess, reason in excesses.values() if excess > 0]
        return (State.INFEASIBLE, "; ".join(reasons)) if reasons else (State.RUNNING, "")

    def report(self, key: str, epoch: int, metrics: Mapping[str, Any]) -> bool:
        """Note the metrics of an epoch; returns whether the trial should stop early.

        An epoch that is known already (a resumed trial says it again) changes nothing.
        """
        record = self.records[key]
        if record.state != State.RUNNING:
            return True
        single = len(self._directions) == 1
        if epoch > record.epoch:
            record.epoch, record.metrics = epoch, dict(metrics)
            if single:
                value = metrics[next(iter(self._directions))]
                best = value if record.value is None else self._better(record.value, value)
                record.value = best
                self._live[key].report(value, epoch)
            self._announce(record)
        return single and epoch == record.epoch and self._condemned(self._live[key])

    def _condemned(self, trial: optuna.Trial) -> bool:
        """The pruner's verdict on a trial's last epoch; noted, for the pruner says it only once."""
        if "stop" not in trial.user_attrs and trial.should_prune():
            trial.set_user_attr("stop", True)
        return "stop" in trial.user_attrs

    def finish(
        self, key: str, state: State, reason: str = "", metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Tell the study what became of a trial. A second telling changes nothing.

        A COMPLETE trial's value is `best_<objective>` of its `metrics` where there is one, else
        the objective itself.
        """
        record = self.records[key]
        if record.state != State.RUNNING:
            return
        trial, values = self._live.pop(key), None
        if state == State.COMPLETE:
            assert metrics is not None, "a complete trial has metrics"
            values = [metrics.get(f"best_{name}", metrics[name]) for name in self._directions]
            record.value = values[0]
        record.state, record.reason = state, reason
        record.metrics |= metrics or {}
        if state == State.INFEASIBLE:
            trial.set_constraint("trained", 1.0)
        self._conclude(trial, state, reason, values)
        self._announce(record)

    def _conclude(
        self, trial: optuna.Trial, state: State, reason: str, values: list[float] | None = None
    ) -> None:
        if values:
            trial.set_user_attr("values", values)
        trial.set_user_attr("reason", reason)
        trial.set_user_attr("state", state.value)
        self._tell(trial.number, state, values)

    def _tell(self, number: int, state: State, values: list[float] | None) -> None:
        told = values if state == State.COMPLETE else None
        self._study.tell(number, told, state=OUTCOMES[state], skip_if_finished=True)

    def _announce(self, record: Record) -> None:
        for listener in self.listeners:
            listener(record)
