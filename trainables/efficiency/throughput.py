"""Images per second at one batch size after the other."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from trainables.efficiency.execution import Setting
from trainables.efficiency.inputs import Inputs
from trainables.efficiency.timing import LEAST_REPEATS, LEAST_WARM_UP, durations_s, rotating
from trainables.efficiency.unmeasurable import UnmeasurableError
from trainables.shortage import out_of_memory

_WORTHWHILE = 1.03  # a larger batch pays if it gives 3 % more images per second


class Throughput(NamedTuple):
    """Images per second at one batch size, over passes that follow each other without a pause."""

    batch_size: int
    images_per_s: float
    p10_images_per_s: float
    p90_images_per_s: float
    repeats: int


def throughputs(
    model: torch.nn.Module,
    inputs: Inputs,
    setting: Setting,
    batch_sizes: Sequence[int],
    seconds: float,
    *,
    while_worthwhile: bool = True,
) -> tuple[list[Throughput], str]:
    """Images per second at growing batch sizes, and why there is no larger one.

    It ends after the last batch size, when a size cannot be run, when the next size is not expected
    to fit in what is left of `seconds`, or, with `while_worthwhile`, when two sizes in a row
    brought less than 3 % more. The time for compiling and capturing does not count.
    """
    left = seconds
    found: list[Throughput] = []
    best, idle = 0.0, 0
    for position, batch_size in enumerate(batch_sizes):
        if found:
            expected_s = batch_size / found[-1].images_per_s * (LEAST_WARM_UP + LEAST_REPEATS)
            if expected_s > left:
                return found, f"batch size {batch_size} would have exceeded {seconds:g} s"
        share = left / (len(batch_sizes) - position)
        try:
            result, spent = _throughput(model, inputs, setting, batch_size, share)
        except (UnmeasurableError, RuntimeError, MemoryError) as error:
            return found, _reason(error, batch_size)
        left -= spent
        found.append(result)
        idle = 0 if result.images_per_s > best * _WORTHWHILE else idle + 1
        best = max(best, result.images_per_s)
        if while_worthwhile and idle == 2:
            return found, "two batch sizes in a row brought less than 3 % more"
    return found, "the largest batch size was reached"


def _reason(error: Exception, batch_size: int) -> str:
    """Why a batch size could not be run; raises an error that is the model's own."""
    if isinstance(error, UnmeasurableError):
        return f"batch size {batch_size}: {error}"
    if out_of_memory(error):
        return f"out of memory at batch size {batch_size}"
    raise error


def _throughput(
    model: torch.nn.Module, inputs: Inputs, setting: Setting, batch_size: int, seconds: float
) -> tuple[Throughput, float]:
    """The throughput over about `seconds`, and how long it really took without preparations."""
    with rotating(model, inputs, setting, batch_size) as forward:
        started = time.perf_counter()
        durations = durations_s(forward, inputs.device, seconds, apart=False)
        spent = time.perf_counter() - started
    rates = batch_size / np.array(durations)
    p10, median, p90 = (float(value) for value in np.percentile(rates, (10, 50, 90)))
    return Throughput(batch_size, median, p10, p90, len(rates)), spent
