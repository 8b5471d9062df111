"""How the steps of a training are run: what is fastest on this device is found by measuring."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from torch import nn

_WARM_UP, _TIMED = 2, 5  # steps for each pace
_WORTH = 50  # steps of training for each step of measuring
_GAIN = 0.95  # share of the time that must not be exceeded: a smaller gain may be chance
_COMPILE_SECONDS = 60.0  # about how long compiling takes
_COMPILE_WORTH = 20  # training must still take this many times as long as compiling


@dataclass(frozen=True, slots=True)
class Pace:
    """A way to run the steps of a training.

    `channels_last` is a layout of images and filters in memory, `fused` means one kernel for all of
    Adam's updates, and `compiled` means `torch.compile` of the model.
    """

    channels_last: bool = False
    fused: bool = True
    compiled: bool = False

    def document(self) -> dict[str, bool]:
        return asdict(self)


def candidates(model: nn.Module, optimizer: str) -> list[dict[str, bool]]:
    """Changes of the default pace that may help `model`, each to be tried."""
    convolutions = sum(isinstance(module, nn.Conv2d) for module in model.modules())
    layout = [{"channels_last": True}] if convolutions > 1 else []  # cutting patches is one
    return layout + ([{"fused": False}] if optimizer == "adam" else [])


def worth_measuring(number: int, steps_left: int) -> bool:
    """Whether trying `number` changes costs little, compared with the steps that are left."""
    return bool(number) and steps_left >= (number + 1) * (_WARM_UP + _TIMED) * _WORTH


def worth_compiling(step_seconds: float, steps_left: int) -> bool:
    return step_seconds * steps_left > _COMPILE_SECONDS * _COMPILE_WORTH


def quickest(
    changes: list[dict[str, bool]],
    timed: Callable[[Pace, int], list[float] | str],
    agree: Callable[[Any], Any],
    steps_left: int,
) -> tuple[Pace, dict[str, Any]]:
    """The fastest pace found by adding one change after the other.

    A change is kept if it saves at least 5 % of the time.

    Args:
        changes: changes of the default pace.
        timed: `timed(pace, steps)` gives the seconds of each of `steps` steps at a pace, or the
            reason why they cannot be run so.
        agree: gives every worker the leader's value.
        steps_left: how many steps are left to train.

    Returns:
        The pace, and what was measured.
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
