"""How long forward passes take."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from trainables.efficiency.inputs import Inputs
from trainables.shortage import out_of_memory

_LEAST_REPEATS = 3
_MOST_REPEATS = 1000
_LEAST_WARM_UP = 2
_WARM_UP_SHARE = 0.2  # of the time for a batch size
_WORTHWHILE = 1.03  # a larger batch goes on paying while it gives 3 % more images a second

Forward = Callable[[int], object]  # takes the number of the pass


class Quantiles(NamedTuple):
    """Median, 10th and 90th percentile of `repeats` values."""

    median: float
    p10: float
    p90: float
    repeats: int


class Throughput(NamedTuple):
    """Images a second at one batch size, over passes that follow each other without a pause."""

    batch_size: int
    images_per_s: float
    p10_images_per_s: float
    p90_images_per_s: float
    repeats: int


def latency_s(model: torch.nn.Module, inputs: Inputs, seconds: float) -> Quantiles:
    """Seconds from the start to the end of a pass of one image, in about `seconds` altogether."""
    durations = _durations_s(_forward(model, inputs, 1), inputs.device, seconds, apart=True)
    p10, median, p90 = (float(value) for value in np.percentile(durations, (10, 50, 90)))
    return Quantiles(median, p10, p90, len(durations))


def throughputs(
    model: torch.nn.Module, inputs: Inputs, batch_sizes: Sequence[int], seconds: float
) -> tuple[list[Throughput], str]:
    """Images a second at growing batch sizes, and why it ended there.

    Ends after the last batch size, when two in a row brought less than 3 % more, when the device's
    memory ends, or when the next size is not expected to fit in what is left of `seconds`.
    """
    deadline = time.perf_counter() + seconds
    found: list[Throughput] = []
    best, idle = 0.0, 0
    for position, batch_size in enumerate(batch_sizes):
        left = deadline - time.perf_counter()
        if found:
            expected_s = batch_size / found[-1].images_per_s * (_LEAST_WARM_UP + _LEAST_REPEATS)
            if expected_s > left:
                return found, f"batch size {batch_size} would have exceeded {seconds:g} s"
        try:
            result = _throughput(model, inputs, batch_size, left / (len(batch_sizes) - position))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return found, f"out of memory at batch size {batch_size}"
        found.append(result)
        idle = 0 if result.images_per_s > best * _WORTHWHILE else idle + 1
        best = max(best, result.images_per_s)
        if idle == 2:
            return found, "two batch sizes in a row brought less than 3 % more"
    return found, "the largest batch size was reached"


def _throughput(
    model: torch.nn.Module, inputs: Inputs, batch_size: int, seconds: float
) -> Throughput:
    forward = _forward(model, inputs, batch_size)
    rates = batch_size / np.array(_durations_s(forward, inputs.device, seconds, apart=False))
    p10, median, p90 = (float(value) for value in np.percentile(rates, (10, 50, 90)))
    return Throughput(batch_size, median, p10, p90, len(rates))


def _forward(model: torch.nn.Module, inputs: Inputs, batch_size: int) -> Forward:
    batches = inputs.rotation(batch_size)
    model.eval()
    return lambda number: model(batches[number % len(batches)])


@torch.inference_mode()
def _durations_s(
    forward: Forward, device: torch.device, seconds: float, *, apart: bool
) -> list[float]:
    """Durations of single passes after a warm-up, as many as fit in about `seconds`."""
    started = time.perf_counter()
    shortest = float("inf")
    warm_ups = 0
    while warm_ups < _LEAST_WARM_UP or time.perf_counter() - started < seconds * _WARM_UP_SHARE:
        shortest = min(shortest, *_timed(forward, device, 1, apart=True))
        warm_ups += 1
    fitting = int(seconds * (1 - _WARM_UP_SHARE) / shortest)
    return _timed(forward, device, min(max(fitting, _LEAST_REPEATS), _MOST_REPEATS), apart=apart)


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
