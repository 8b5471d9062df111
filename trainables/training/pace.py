"""How steps are run: what makes them quicker on this device is measured, not hoped for."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from torch import nn

_WARM_UP, _TIMED = 2, 5  # steps for each way
_WORTH = 50  # steps of training for each step of measuring
_GAIN = 0.95  # of the time: less gain than that may be chance
_COMPILE_SECONDS = 60.0  # what compiling takes, about
_COMPILE_WORTH = 20  # times that must be left to train


@dataclass(frozen=True, slots=True)
class Pace:
    """A way to run the steps of a training.

    `channels_last` is the layout of images and filters in memory, `fused` one kernel for all of
    Adam's steps, `compiled` `torch.compile` of the model.
    """

    channels_last: bool = False
    fused: bool = True
    compiled: bool = False

    def document(self) -> dict[str, bool]:
        return asdict(self)


def candidates(model: nn.Module, optimizer: str) -> list[dict[str, bool]]:
    """Changes of the default that may help `model`, each to be tried."""
    convolutions = sum(isinstance(module, nn.Conv2d) for module in model.modules())
    layout = [{"channels_last": True}] if convolutions > 1 else []  # patches are one
    return layout + ([{"fused": False}] if optimizer == "adam" else [])


def worth_measuring(number: int, steps_left: int) -> bool:
    """Whether trying `number` changes costs little beside the steps that are left."""
    return bool(number) and steps_left >= (number + 1) * (_WARM_UP + _TIMED) * _WORTH


def worth_compiling(step_seconds: float, steps_left: int) -> bool:
    return step_seconds * steps_left > _COMPILE_SECONDS * _COMPILE_WORTH


def quickest(
    changes: list[dict[str, bool]],
    timed: Callable[[Pace, int], list[float] | str],
    agree: Callable[[Any], Any],
    steps_left: int,
) -> tuple[Pace, dict[str, Any]]:
    """The quickest way found by adding one change after the other, and what was measured.

    `timed(pace, steps)` gives the seconds of each of `steps` steps, or why it cannot be run so;
    `agree` makes the leader's value everyone's. Changes are kept if they save 5 % at least.
    """
    facts: dict[str, Any] = {}

    def of(pace: Pace, name: str) -> float:
        found = timed(pace, _WARM_UP + _TIMED)
        if isinstance(found, str):
            facts[name] = found
            return float("inf")
        facts[name] = median(found[_WARM_UP:]) * 1e3
        return agree(facts[name])

    best = Pace()
    best_ms = of(best, "default_ms")
    for change in changes:
        best, best_ms = _better(best, best_ms, change, of)
    if worth_compiling(best_ms / 1e3, steps_left):
        best, best_ms = _better(best, best_ms, {"compiled": True}, of)
    return best, facts


def _better(
    best: Pace, best_ms: float, change: dict[str, bool], of: Callable[[Pace, str], float]
) -> tuple[Pace, float]:
    ((name, value),) = change.items()
    pace = replace(best, **change)
    step_ms = of(pace, f"{name if value else f'not_{name}'}_ms")
    return (pace, step_ms) if step_ms < best_ms * _GAIN else (best, best_ms)
