"""The truth of a sweep: an Optuna study, asked for trials and told what became of them.

Knows no Ray: `searcher` and `stopping` bring it to Tune, `simulate` to simulated time. Everything
is written before it is acted on; the storage is read once, when the study is opened.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.allowance import Allowance
from search.decisions import Decisions, begun
from search.feasibility import Constraints, Feasibility
from search.ledger import Ledger
from search.record import Record, State, told_of
from search.repeats import Repeats
from search.roster import Roster
from search.samplers import DEFAULT, Earlier, Quantity, Resume, Start, Task, Verdict
from search.samplers.loading import load
from spaces.space import Space, Value


class SweepStudy:
    """Ask, report and tell, over an Optuna study and a space.

    Args:
        study: where everything is kept; `space`: what is searched.
        directions: the objectives (`{"valid_top1": "max"}`) in the order of the study's.
        max_epochs: epochs of a trial that is neither paused nor stopped.
        trials, epochs, target, clocks: see `Allowance`.
        repeats: how often the best configurations are trained in all, with a seed each.
        constraints, known, costly: limits, and objectives that need no training; see `Task`.
        sampler, pruner: their names, see `samplers`; None for the sampler's own pruner.
        until_settled: see `samplers.settled`; `earlier`: trials of other sweeps, to learn from.

    Raises ValueError if there is no such sampler or pruner.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        *,
        directions: Mapping[str, str],
        max_epochs: int,
        image_size: int = 224,
        trials: float = math.inf,
        epochs: float = math.inf,
        target: float | None = None,
        clocks: Sequence[Callable[[], str]] = (),
        repeats: int = 1,
        seed: int = 0,
        constraints: Constraints | None = None,
        known: Mapping[str, Quantity] | None = None,
        costly: Mapping[str, int] | None = None,
        sampler: str = DEFAULT,
        pruner: str | None = None,
        until_settled: bool = False,
        earlier: Sequence[Earlier] = (),
    ):
        self.space, self.max_epochs = space, max_epochs
        self.allowance = Allowance(trials=trials, epochs=epochs, target=target, clocks=clocks)
        self.listeners: list[Callable[[Record], None]] = []
        self.feasibility = Feasibility(space, image_size, constraints or {})
        self.gave_up, self.exhausted = "", False
        self._study, self._directions, self._known = study, dict(directions), dict(known or {})
        given = (max_epochs, seed, costly or {}, earlier)
        task = Task.of(self.feasibility, directions, self._known, *given)
        self._learned, self._costly = task.learned, task.costly
        self._roster = Roster(directions, self._learned, space)
        self._repeats = Repeats(repeats, seed, self._directions, self._learned)
        self._sampler = load(sampler, task, pruner)
        self._decisions = Decisions(
            self._sampler, self.feasibility, self._roster, until_settled=until_settled
        )
        self._ledger = Ledger(study, space, len(self._learned))
        self._interrupted: list[str] = []
        self._read()

    def _read(self) -> None:
        decisions: list[dict[str, Any]] = []
        for frozen, record in self._ledger.read():
            decisions += record.decisions
            self._roster.add(record)
            told = frozen.values or frozen.user_attrs.get("values")
            if record.state == State.COMPLETE and told:
                self._roster.end(record, dict(zip(self._directions, told, strict=True)))
            if frozen.state == TrialState.RUNNING and record.state.final:  # cut off while told
                self._ledger.end(record.number, record.state, told)
            elif record.state == State.RUNNING:
                self._interrupted.append(record.key)
        self._decisions.restore(decisions)
        self.enqueue(dict(self._ledger.waiting()))

    @property
    def records(self) -> dict[str, Record]:
        """All suggestions by their key, also those that were refused."""
        return self._roster.records

    @property
    def accepted(self) -> list[Record]:
        """The trials that were accepted for training, in their order."""
        return [record for record in self.records.values() if record.accepted]

    def stored(self) -> dict[str, FrozenTrial]:
        """The trials as the study's storage has them, by key."""
        trials = self._study.get_trials(deepcopy=False)
        return {t.user_attrs["trial_key"]: t for t in trials if "trial_key" in t.user_attrs}

    @property
    def running(self) -> bool:
        return self._roster.running

    @property
    def unfinished(self) -> bool:
        """Whether trials are running, paused or missing."""
        if any(not record.state.final for record in self.accepted):
            return True
        return (not self.ended and not self.gave_up) or self._repeats.next(
            self.accepted
        ) is not None

    @property
    def ended(self) -> str:
        """Why no further configuration is wanted, or nothing."""
        return self.allowance.full(self._roster) or self._decisions.settled

    def enqueue(self, points: Mapping[str, Mapping[str, Value]], count: float = math.inf) -> None:
        """Have up to `count` of the published `points` tried first: what is new and feasible."""
        self._decisions.publish(points, count)

    def next(self) -> Record | None:
        """The next trial to train: an interrupted one first, else a new one, or a paused one.

        None if there is none now; while trials are `running`, there may be one later. Else the
        sweep has ended: what is paused is stopped, and `gave_up` has the reason if trials are
        missing, which is `exhausted` if the space is finite and holds no other.
        """
        if self._interrupted:
            return self.records[self._interrupted.pop(0)]
        over = self.allowance.over(self._roster)
        match None if over else self._decisions.next(start=not self.ended):
            case Start() as decision:
                return self._start(decision)
            case Resume() as decision:
                return self._resume(decision)
            case None:
                pass
        if self._roster.searching:
            return None
        self._close()
        again = self._repeats.next(self.accepted)
        return None if again is None else self._start(again)

    def _start(self, decision: Start) -> Record:
        number = self._ledger.count
        known = {name: quantity(decision.params) for name, quantity in self._known.items()}
        attributes = begun(decision, self._decisions.noted(decision.why), known)
        record = Record.noted(number, attributes | {"trial_key": ""}, curve={})
        record.key = attributes["trial_key"] = f"{number:05d}-{record.hash[:8]}"
        self._ledger.add(record.params, attributes)
        self._roster.add(record)
        self._announce(record)
        return record

    def _resume(self, decision: Resume) -> Record:
        record = next(r for r in self.records.values() if r.number == decision.number)
        noted = self._decisions.noted(decision.why) | {"epoch": record.epoch}
        record.decisions = [*record.decisions, noted]
        self._ledger.note(record.number, decisions=record.decisions)
        self._change(record, State.RUNNING)
        return record

    def _change(self, record: Record, state: State, reason: str = "") -> None:
        """A trial's new state, which the storage has before anybody acts on it."""
        record.reason = reason
        self._ledger.note(record.number, reason=reason, state=state.value)
        self._roster.change(record, state)
        self._happened(record)

    def _happened(self, record: Record) -> None:
        self._decisions.happened(record)
        self._announce(record)

    def _announce(self, record: Record) -> None:
        for listener in self.listeners:
            listener(record)

    def report(self, key: str, epoch: int, metrics: Mapping[str, Any]) -> bool:
        """Note the metrics of an epoch; returns whether the trial ends here, for now or for good.

        An epoch that is known already (a resumed trial says it again) changes nothing.
        """
        record = self.records[key]
        if record.state != State.RUNNING:
            return True
        if epoch > record.epoch:
            values = tuple(float(metrics[name]) for name in self._learned)
            self._ledger.report(record.number, epoch, values)
            record.metrics = dict(metrics)
            self._roster.extend(record, epoch, values)
            self._happened(record)
        if epoch < record.epoch or epoch <= record.resumed_epoch or epoch == self.max_epochs:
            return False
        if record.repeat_of:
            return False
        if self.allowance.ended(self._roster):
            if said := self.allowance.ends(record, self._roster):  # else it reached the target
                self.finish(key, State.STOPPED, f"ended after epoch {epoch}: {said}")
            return bool(said)
        seen = self._roster.seen
        verdict = self._sampler.judge(seen[key], list(seen.values()))
        if verdict == Verdict.PAUSE:
            self._change(record, State.PAUSED, f"paused after epoch {epoch}")
        elif verdict == Verdict.STOP:
            self.finish(key, State.STOPPED, f"stopped after epoch {epoch}")
        return verdict != Verdict.GO_ON

    def finish(
        self, key: str, state: State, reason: str = "", metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Tell the study what became of a trial. A second telling changes nothing.

        A COMPLETE trial's values are those of its best epoch, if its `metrics` name one, else the
        last.
        """
        record, values = self.records[key], None
        if record.state.final:
            return
        if state == State.COMPLETE:
            assert metrics is not None, "a complete trial has metrics"
            told = told_of(record, metrics, self._learned)
            values = [told[name] for name in self._directions]
            self._ledger.note(record.number, values=values)
            self._roster.end(record, told)
        record.metrics |= metrics or {}
        self._change(record, state, reason)
        self._ledger.end(record.number, state, values)

    def _close(self) -> None:
        """The sweep has ended: nothing that is paused will go on."""
        for record in self.accepted:
            if record.state == State.PAUSED:
                said = f"paused after epoch {record.epoch}, and others were worth more"
                self.finish(record.key, State.STOPPED, said)
        if not self.ended:
            self.gave_up, self.exhausted = self._decisions.end(self._costly)
