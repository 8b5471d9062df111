"""Time and memory of a model on one device, measured."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import torch

from trainables.efficiency.device import describe, resolve
from trainables.efficiency.inputs import Inputs
from trainables.efficiency.memory import (
    MakeOptimizer,
    UnmeasurableError,
    inference_peak_bytes,
    training_peak_bytes,
)
from trainables.efficiency.timing import Throughput, latency_s, throughputs
from trainables.shortage import out_of_memory

_LARGEST_BATCH = {"cpu": 256, "cuda": 4096}
_LATENCY_SHARE = 0.25  # of the time; the rest is the throughput's

Value = TypeVar("Value")


@dataclass(frozen=True)
class Measurements:
    """What a model was measured to cost; `trainables.metrics.EFFICIENCY` holds units and meaning.

    Attributes:
        throughputs: every batch size tried, in order.
        throughput_stopped_by: why no larger batch size was tried.
        repeats: timed passes behind `latency_ms` and `throughput_images_per_s`.
        device: facts about the device (`device.describe`).
        reasons: for each field that is None, why it could not be measured.
    """

    throughput_images_per_s: float | None
    throughput_batch_size: int | None
    throughputs: tuple[Throughput, ...]
    throughput_stopped_by: str
    latency_ms: float | None
    latency_p10_ms: float | None
    latency_p90_ms: float | None
    inference_peak_memory_bytes: int | None
    inference_memory_batch_size: int
    training_peak_memory_bytes: int | None
    training_memory_batch_size: int
    repeats: dict[str, int]
    device: dict[str, Any]
    reasons: dict[str, str]


def measure(
    model: torch.nn.Module,
    image_size: int,
    device: str | torch.device = "cpu",
    *,
    in_chans: int = 3,
    batch_sizes: Sequence[int] | None = None,
    inference_batch_size: int = 64,
    training_batch_size: int = 64,
    optimizer: MakeOptimizer = torch.optim.Adam,
    seconds: float = 2.0,
) -> Measurements:
    """Measure `model` on images (in_chans, image_size, image_size), memory first, then time.

    In this order, because what timing leaves in the allocator would disturb the memory. On Linux
    glibc afterwards keeps freed blocks of up to 32 MiB for reuse, which steadies the timing.

    Numbers that count come from a process of their own (`measure_fresh`). `batch_sizes` are those
    of the throughput, by default the powers of two up to 256 (CPU) or 4096 (CUDA), as far as
    larger ones pay. `seconds` is the time to spend on timing; at least three passes of batch size
    1 are timed however long they take. The model is left as it was.

    Raises:
        ValueError: a device that is not there, or sizes that are not positive.
    """
    target = resolve(device)
    sizes = tuple(batch_sizes or _powers_of_two(_LARGEST_BATCH[target.type]))
    given = {"image_size": image_size, "in_chans": in_chans, "seconds": seconds}
    given |= {"inference_batch_size": inference_batch_size, "batch_sizes": min(sizes)}
    given |= {"training_batch_size": training_batch_size}
    if mistakes := [f"{name} is {value}" for name, value in given.items() if not value > 0]:
        raise ValueError(f"{', '.join(mistakes)}; only positive numbers can be measured with")
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    facts = describe(target)  # now: the load average is the one before our own work
    inputs = Inputs(in_chans, image_size, target, dtype)
    reasons: dict[str, str] = {}
    with _left_as_found(model, target):
        inference = _attempt(
            lambda: inference_peak_bytes(model, inputs, inference_batch_size),
            reasons,
            "inference_peak_memory_bytes",
        )
        training = _attempt(
            lambda: training_peak_bytes(model, inputs, training_batch_size, optimizer),
            reasons,
            "training_peak_memory_bytes",
        )
        latency = _attempt(
            lambda: latency_s(model, inputs, seconds * _LATENCY_SHARE),
            reasons,
            *("latency_ms", "latency_p10_ms", "latency_p90_ms"),
        )
        tried, stopped_by = throughputs(model, inputs, sizes, seconds * (1 - _LATENCY_SHARE))
    best = max(tried, key=lambda result: result.images_per_s, default=None)
    if best is None:
        reasons |= dict.fromkeys(("throughput_images_per_s", "throughput_batch_size"), stopped_by)
    return Measurements(
        throughput_images_per_s=best and best.images_per_s,
        throughput_batch_size=best and best.batch_size,
        throughputs=tuple(tried),
        throughput_stopped_by=stopped_by,
        latency_ms=latency and latency.median * 1e3,
        latency_p10_ms=latency and latency.p10 * 1e3,
        latency_p90_ms=latency and latency.p90 * 1e3,
        inference_peak_memory_bytes=inference,
        inference_memory_batch_size=inference_batch_size,
        training_peak_memory_bytes=training,
        training_memory_batch_size=training_batch_size,
        repeats={
            "latency_ms": latency.repeats if latency else 0,
            "throughput_images_per_s": best.repeats if best else 0,
        },
        device=facts,
        reasons=reasons,
    )


def _powers_of_two(largest: int) -> Sequence[int]:
    return [2**exponent for exponent in range(largest.bit_length())]


def _attempt(
    measurement: Callable[[], Value], reasons: dict[str, str], *fields: str
) -> Value | None:
    """The measurement, or None and the reason under the name of each field that it would fill."""
    try:
        return measurement()
    except UnmeasurableError as error:
        reason = str(error)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        reason = f"out of memory ({error})"
    reasons |= dict.fromkeys(fields, reason)
    return None


@contextmanager
def _left_as_found(model: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """The model on `device` without gradients; afterwards back in place, with all that it had."""
    home = next((tensor.device for tensor in model.parameters()), device)
    modes = {module: module.training for module in model.modules()}
    gradients = {parameter: parameter.grad for parameter in model.parameters()}
    values = [tensor.detach().to("cpu", copy=True) for tensor in _tensors(model)]
    model.zero_grad()
    model.to(device)
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(_tensors(model), values, strict=True):
                tensor.copy_(value)
        model.to(home)
        for module, training in modes.items():
            module.training = training
        for parameter, gradient in gradients.items():
            parameter.grad = gradient


def _tensors(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    return chain(model.parameters(), model.buffers())
