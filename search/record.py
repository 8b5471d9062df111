"""A trial of a sweep as the study knows it, and what can become of it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from spaces.space import Value

ACCEPTED = "trained"  # as studies on disks call it


class State(StrEnum):
    """What became of a trial; every state except `RUNNING` and `PAUSED` is final.

    A PAUSED trial waits at its last commit until it is worth going on. A COMPLETE one used its
    budget or was ended by its own patience; a STOPPED one was ended early, or was still paused when
    the sweep ended; a FAILED one ended with an error; an INFEASIBLE one broke a constraint, before
    or during training; a DUPLICATE was suggested again and not trained.
    """

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"
    INFEASIBLE = "infeasible"
    DUPLICATE = "duplicate"

    @classmethod
    def _missing_(cls, value: object) -> "State | None":
        """What earlier versions called a state."""
        return cls.STOPPED if value == "pruned" else None

    @property
    def final(self) -> bool:
        return self not in (State.RUNNING, State.PAUSED)


@dataclass(slots=True)
class Record:
    """A trial as the study knows it: a suggestion that was `accepted` for training, or refused.

    `curve` has the objectives that training shows, by epoch. The sampler's `decisions` began it and
    went on with it: each has its number, its reasons (`why`), what was `news` then as (number of
    the trial, epoch, state), and the `epoch` that it went on from. `known` has the objectives that
    need no training. A trial that is a `repeat_of` another has that one's parameters and a `seed`
    of its own, which is the sweep's where it is None.
    """

    number: int
    key: str
    params: dict[str, Value]
    state: State
    reason: str = ""
    published: str = ""
    accepted: bool = True
    epoch: int = 0
    value: float | None = None
    metrics: dict[str, Any] = field(default_factory=dict[str, Any])
    curve: dict[int, tuple[float, ...]] = field(default_factory=dict[int, tuple[float, ...]])
    decisions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    known: dict[str, float] = field(default_factory=dict[str, float])
    repeat_of: str = ""
    seed: int | None = None

    @property
    def hash(self) -> str:
        """Part of the trial's key: of its configuration, and of its own seed if it has one."""
        return config_hash(self.params if self.seed is None else self.params | {"seed": self.seed})

    @property
    def resumed_epoch(self) -> int:
        """The epoch that the trial went on from when it was last paused, 0 if it never was."""
        return self.decisions[-1].get("epoch", 0) if self.decisions else 0

    def objective(self, name: str, learned: Sequence[str]) -> float | None:
        """What the trial has of an objective: known before, or as training shows it."""
        if name in self.known:
            return self.known[name]
        if len(learned) == 1 or not self.curve:
            return self.value
        last = dict(zip(learned, self.curve[self.epoch], strict=True))
        return told_of(self, last | self.metrics, learned)[name]

    @classmethod
    def noted(
        cls, number: int, attributes: Mapping[str, Any], curve: dict[int, tuple[float, ...]]
    ) -> "Record":
        """The trial whose `attributes` a study has.

        It runs, if the study was cut off between the decision to go on with it and its state.
        """
        found = cls(
            number=number,
            key=attributes["trial_key"],
            params=attributes["params"],
            state=State(attributes.get("state", State.RUNNING)),
            reason=attributes.get("reason", ""),
            published=attributes.get("published", ""),
            accepted=attributes[ACCEPTED],
            epoch=max(curve, default=0),
            curve=curve,
            decisions=list(attributes.get("decisions", ())),
            known=dict(attributes.get("known", {})),
            repeat_of=attributes.get("repeat", {}).get("of", ""),
            seed=attributes.get("repeat", {}).get("seed"),
        )
        if found.state == State.PAUSED and found.resumed_epoch == found.epoch:
            found.state = State.RUNNING
        return found


def told_of(record: Record, metrics: Mapping[str, Any], learned: Sequence[str]) -> dict[str, float]:
    """All objectives of a trial that is complete.

    Those `learned` are of the best epoch, whose weights are kept, if its final `metrics` name one;
    else they are the last.
    """
    best = record.curve.get(int(metrics.get("best_epoch", 0)))
    values = best or [metrics[name] for name in learned]
    told = dict(zip(learned, values, strict=True)) | record.known
    return told | {n: metrics[f"best_{n}"] for n in learned if f"best_{n}" in metrics}


def config_hash(params: Mapping[str, Value]) -> str:
    """The identity of a configuration: equal for equal values in any order."""
    canonical = json.dumps(dict(sorted(params.items())), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
