"""How long forward passes take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from trainables.efficiency.execution import Setting, running
from trainables.efficiency.inputs import Inputs

LEAST_REPEATS = 3
_MOST_REPEATS = 1000
LEAST_WARM_UP = 2
_WARM_UP_SHARE = 0.2  # share of the time for a batch size

Forward = Callable[[int], object]  # takes the number of the pass


class Quantiles(NamedTuple):
    """Median, 90th and 99th percentile of `repeats` values."""

    median: float
    p90: float
    p99: float
    repeats: int


def latency_s(
    model: torch.nn.Module, inputs: Inputs, setting: Setting, seconds: float
) -> Quantiles:
    """Seconds from start to end of a pass of one image, measured for about `seconds`.

    Raises:
        UnmeasurableError: the device cannot do what `setting` says.
    """
    with rotating(model, inputs, setting, 1) as forward:
        durations = durations_s(forward, inputs.device, seconds, apart=True)
    median, p90, p99 = (float(value) for value in np.percentile(durations, (50, 90, 99)))
    return Quantiles(median, p90, p99, len(durations))


@contextmanager
def rotating(
    model: torch.nn.Module, inputs: Inputs, setting: Setting, batch_size: int
) -> Iterator[Forward]:
    """A function that runs pass `number`, with batches that take turns (see `running`)."""
    batches = inputs.rotation(batch_size)
    with running(model, setting, batches[0]) as forward:
        yield lambda number: forward(batches[number % len(batches)])


def durations_s(
    forward: Forward, device: torch.device, seconds: float, *, apart: bool
) -> list[float]:
    """Durations of single passes after a warm-up; as many passes as fit in about `seconds`."""
    started = time.perf_counter()
    shortest = float("inf")
    warm_ups = 0
    while warm_ups < LEAST_WARM_UP or time.perf_counter() - started < seconds * _WARM_UP_SHARE:
        shortest = min(shortest, *_timed(forward, device, 1, apart=True))
        warm_ups += 1
    fitting = int(seconds * (1 - _WARM_UP_SHARE) / shortest)
    return _timed(forward, device, min(max(fitting, LEAST_REPEATS), _MOST_REPEATS), apart=apart)


def _timed(forward: Forward, device: torch.device, passes: int, *, apart: bool) -> list[float]:
    """Seconds of each pass; `apart` waits for a pass to end before it starts the next one."""
    if device.type != "cuda":
        marks = [time.perf_counter()]
        for number in range(passes):
            forward(number)
            marks.append(time.perf_counter())
        return [end - start for start, end in pairwise(marks)]
    with torch.cuda.device(device):
        events = [torch.cuda.Event(enable_timing=True) for _ in range(passes + 1)]
        torch.cuda.synchronize()
        events[0].record()
        for number, event in enumerate(events[1:]):
            forward(number)
            event.record()
            if apart:
                event.synchronize()
        torch.cuda.synchronize()
        return [start.elapsed_time(end) / 1e3 for start, end in pairwise(events)]
