"""What decides which trial trains next: one file per sampler, all with one contract.

A sampler is asked with everything that is known and answers with a new configuration or a paused
trial that goes on; after each epoch it is asked whether a trial goes on, pauses or stops. It keeps
nothing that does not follow from its arguments and from `restore`, so that a resumed sweep suggests
what an unbroken one would. `loading` finds a sampler by its name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from search.feasibility import Feasibility
from search.record import State
from spaces.space import Value

DEFAULT = "freeze-thaw"
PUBLISHED = "published"  # the sampler that adds nothing to the published rows
RUNGS = (9, 3)  # trials pause after these parts of their epochs
# of the trials that reached a rung, the share that goes on: by the default sampler, by others
QUOTA, HALF = 0.67, 0.5
Quantity = Callable[[dict[str, Value]], float]


def lessened(quantity: Quantity, direction: str) -> Quantity:
    """The quantity, turned so that it shall become small."""
    return (lambda params: -quantity(params)) if direction == "max" else quantity


class Verdict(StrEnum):
    """What a trial does after an epoch."""

    GO_ON = "go on"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(slots=True)
class Seen:
    """A trial as a sampler sees it.

    `curve` has the objectives that training shows, after each known epoch in its order, as the
    `Task`'s `learned` names them; all of them are to be made small.
    """

    number: int
    params: dict[str, Value]
    state: State
    curve: dict[int, tuple[float, ...]] = field(default_factory=dict[int, tuple[float, ...]])

    @property
    def epoch(self) -> int:
        """The last known epoch, 0 before the first."""
        return next(reversed(self.curve), 0)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A trial of an earlier sweep. `curve` is as in `Seen`, by the share of the full length."""

    sweep: str
    params: dict[str, Value]
    curve: Mapping[float, tuple[float, ...]]

    def times(self, signs: Sequence[float]) -> "Earlier":
        """With the objectives turned by these signs."""
        turned = {
            share: tuple(sign * value for sign, value in zip(signs, values, strict=True))
            for share, values in self.curve.items()
        }
        return replace(self, curve=turned)


class Start(NamedTuple):
    """Train a new configuration. `why` is noted beside it, and given back to `restore`."""

    params: dict[str, Value]
    why: dict[str, Any]


class Resume(NamedTuple):
    """Go on with the paused trial `number`."""

    number: int
    why: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a sampler searches: a space within its limits, and what shall become small.

    Args:
        feasibility: the space with its rules and limits.
        learned: the objectives that only training shows.
        known: objectives that are known before training, each a function of the parameters that
            shall become small.
        max_epochs: epochs of a trial that is neither paused nor stopped.
        seed: that of the sweep.
        costly: quantities (of `known` and of the limits) of which a value takes so long that only
            what is about to be trained has its own, and before that so many configurations as are
            named here; others are estimated from these.
        earlier: what other sweeps showed, for samplers that can learn from them.
    """

    feasibility: Feasibility
    learned: tuple[str, ...]
    known: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])
    max_epochs: int
    seed: int = 0
    costly: Mapping[str, int] = field(default_factory=dict[str, int])
    earlier: tuple[Earlier, ...] = ()

    @classmethod
    def of(
        cls,
        feasibility: Feasibility,
        directions: Mapping[str, str],
        known: Mapping[str, Quantity],
        max_epochs: int,
        seed: int,
        costly: Mapping[str, int],
        earlier: Sequence[Earlier] = (),
    ) -> "Task":
        """The task of a sweep with objectives in these `directions`, some of them `known`."""
        learned = tuple(name for name in directions if name not in known)
        signs = [-1.0 if directions[name] == "max" else 1.0 for name in learned]
        return cls(
            feasibility=feasibility,
            learned=learned,
            known={name: lessened(f, directions[name]) for name, f in known.items()},
            max_epochs=max_epochs,
            seed=seed,
            costly=costly,
            earlier=tuple(trial.times(signs) for trial in earlier),
        )

    @property
    def several(self) -> bool:
        """Whether there is more than one objective."""
        return len(self.learned) + len(self.known) > 1


class Sampler(Protocol):
    """The contract. `number` counts the decisions of a sweep and seeds each of them.

    `ends` says what it has tried when it has nothing more to suggest; of one that could always go
    on it is empty.
    """

    ends: str

    def ask(self, seen: Sequence[Seen], number: int, *, start: bool) -> Start | Resume | None:
        """What trains next; None if nothing shall before more is known.

        Without `start` no new configuration is wanted.
        """
        ...

    def judge(self, trial: Seen, seen: Sequence[Seen]) -> Verdict:
        """What `trial` does after its last known epoch."""
        ...

    def restore(self, why: Mapping[str, Any]) -> None:
        """Learn of an earlier decision, from its `why`; they come in their order."""
        ...


def rungs(max_epochs: int) -> list[int]:
    """The epochs after which trials pause."""
    return sorted({max(1, round(max_epochs / part)) for part in RUNGS} - {max_epochs})


def below_quota(rung: int, seen: Sequence[Seen], share: float, *, start: bool) -> bool:
    """Whether fewer than a `share` of the trials that reached `rung` have gone on from it.

    If nothing else is left to do (nothing runs, and without `start` nothing new is wanted), one
    goes on of a few trials too.
    """
    reached = [trial for trial in seen if trial.epoch >= rung]
    beyond = sum(trial.epoch > rung or trial.state == State.RUNNING for trial in reached)
    last = not start and not any(trial.state == State.RUNNING for trial in seen)
    return beyond < max(int(last), int(share * len(reached)))


def usual_epochs(trials: int, max_epochs: int, sampler: str) -> float:
    """The epochs of `trials` configurations, if as many go on from a rung as `sampler` lets."""
    share = QUOTA if sampler == DEFAULT else HALF
    epochs, last = 0.0, 0
    for rung in [*rungs(max_epochs), max_epochs]:
        epochs, last, trials = epochs + trials * (rung - last), rung, max(1, int(share * trials))
    return epochs
