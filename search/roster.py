"""The trials of a study in memory: for people as records, for a sampler with everything turned."""

import math
from collections.abc import Mapping, Sequence

from search.record import Record, State, config_hash
from search.samplers import Seen
from spaces.space import Space, Value


class Roster:
    """Everything that is known of the trials.

    `directions` are those of all objectives; `learned` names those that training shows. A trial of
    an earlier version has values without effect in `space`: samplers do not see them, and it is the
    same configuration as one without.
    """

    def __init__(self, directions: Mapping[str, str], learned: Sequence[str], space: Space):
        self.records: dict[str, Record] = {}
        self.seen: dict[str, Seen] = {}
        self.accepted = self.spent = 0  # trials, and their epochs; repeats do not count
        self.best: float | None = None  # of the first learned objective
        self._learned, self._space = tuple(learned), space
        self._sign = {name: -1.0 if way == "max" else 1.0 for name, way in directions.items()}
        self._identities: dict[str, str] = {}
        self._running: set[str] = set()

    def add(self, record: Record) -> None:
        self.records[record.key] = record
        curve = {epoch: self._turned(values) for epoch, values in record.curve.items()}
        params = self._space.effective(record.params)
        self.seen[record.key] = Seen(record.number, params, record.state, curve)
        self.spent += 0 if record.repeat_of else record.epoch
        self.accepted += record.accepted and not record.repeat_of
        self._identities.setdefault(config_hash(params), record.key)
        for values in record.curve.values():
            self._improve(record, values[0])
        self.change(record, record.state)

    def knows(self, params: Mapping[str, Value]) -> bool:
        return config_hash(self._space.effective(params)) in self._identities

    @property
    def running(self) -> bool:
        return bool(self._running)

    @property
    def searching(self) -> bool:
        """Whether a trial runs that is no repeat."""
        return any(not self.records[key].repeat_of for key in self._running)

    def change(self, record: Record, state: State) -> None:
        record.state = self.seen[record.key].state = state
        if state == State.RUNNING:
            self._running.add(record.key)
        else:
            self._running.discard(record.key)

    def extend(self, record: Record, epoch: int, values: tuple[float, ...]) -> None:
        """One more epoch of a trial, with the objectives that training shows."""
        self.spent += 0 if record.repeat_of else epoch - record.epoch
        record.epoch, record.curve[epoch] = epoch, values
        self.seen[record.key].curve[epoch] = self._turned(values)
        self._improve(record, values[0])

    def end(self, record: Record, values: Mapping[str, float]) -> None:
        """The value that counts is where the curve of a complete trial ends."""
        record.value = values[self._learned[0]]
        turned = self._turned(tuple(values[name] for name in self._learned))
        self.seen[record.key].curve[record.epoch] = turned

    def _turned(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Turned so that small is good; what is not finite is as bad as can be."""
        turned = (self._sign[n] * v for n, v in zip(self._learned, values, strict=True))
        return tuple(value if math.isfinite(value) else math.inf for value in turned)

    def as_good(self, value: float, other: float) -> bool:
        """Whether a value of the first learned objective is at least as good as another."""
        sign = self._sign[self._learned[0]]
        return sign * value <= sign * other

    def _improve(self, record: Record, value: float) -> None:
        if not math.isfinite(value):
            return
        if record.value is None or self.as_good(value, record.value):
            record.value = value
        if self.best is None or self.as_good(value, self.best):
            self.best = value
