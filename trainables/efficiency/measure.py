"""Measures time, memory and energy of a model on one device."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trainables.efficiency.bench import (
    ENERGY,
    INFERENCE_MEMORY,
    LATENCY,
    THROUGHPUT,
    TRAINING_MEMORY,
    TRAINING_STEP,
    UTILISATION,
    Bench,
)
from trainables.efficiency.borrowed import borrowed
from trainables.efficiency.device import describe, resolve
from trainables.efficiency.execution import Setting
from trainables.efficiency.inputs import Inputs
from trainables.efficiency.memory import MakeOptimizer
from trainables.efficiency.occupancy import OtherLoad
from trainables.efficiency.throughput import Throughput

_PLAIN = Setting()
_LATENCY_SHARE, _THROUGHPUT_SHARE = 0.2, 0.6  # of the time; the rest is for training steps


@dataclass(frozen=True)
class Measurements:
    """What a model was measured to cost; `trainables.metrics.EFFICIENCY` holds units and meaning.

    Attributes:
        throughputs: every batch size tried, in order.
        throughput_stopped_by: why no larger batch size was tried.
        largest_batch_size: the most images that fit into the device's memory.
        power_watts, idle_power_watts: while `energy_joules` was measured, and before.
        training_step_ms: median training step of `training_memory_batch_size` images.
        graph_breaks: those of `torch.compile`, as `execution.graph_breaks` counts them.
        repeats: timed passes behind `latency_ms`, `throughput_images_per_s` and `training_step_ms`.
        other_busy_cores: how many of the cores that this process may use were kept busy by other
            processes, in the part of the measurement where they were most.
        other_gpu_processes: the most other processes that were seen with work on the GPU.
        other_load: whether these, or work on the GPU before ours, were enough to disturb.
        device: facts about the device (`device.describe`).
        reasons: for each field that is None, why it could not be measured.
    """

    throughput_images_per_s: float | None
    throughput_batch_size: int | None
    throughputs: tuple[Throughput, ...]
    throughput_stopped_by: str
    largest_batch_size: int | None
    utilisation: float | None
    latency_ms: float | None
    latency_p90_ms: float | None
    latency_p99_ms: float | None
    energy_joules: float | None
    power_watts: float | None
    idle_power_watts: float | None
    inference_peak_memory_bytes: int | None
    inference_reserved_memory_bytes: int | None
    inference_memory_batch_size: int
    inference_batch_1_peak_memory_bytes: int | None
    inference_batch_1_reserved_memory_bytes: int | None
    training_peak_memory_bytes: int | None
    training_reserved_memory_bytes: int | None
    training_memory_batch_size: int
    training_step_ms: float | None
    graph_breaks: int | None
    other_busy_cores: float | None
    other_gpu_processes: int | None
    other_load: bool | None
    repeats: dict[str, int]
    device: dict[str, Any]
    reasons: dict[str, str]


def measure(
    model: torch.nn.Module,
    image_size: int,
    device: str | torch.device = "cpu",
    *,
    setting: Setting = _PLAIN,
    in_chans: int = 3,
    batch_sizes: Sequence[int] = (),
    inference_batch_size: int = 64,
    training_batch_size: int = 64,
    optimizer: MakeOptimizer = torch.optim.Adam,
    seconds: float = 2.0,
    gmacs: float | None = None,
    metrics: Collection[str] = (),
) -> Measurements:
    """Measure `model` on images (in_chans, image_size, image_size), first memory, then time.

    Memory comes first because what timing leaves in the allocator would disturb it. On Linux, glibc
    afterwards keeps freed blocks of up to 32 MiB for reuse, which steadies the timing. Numbers to
    be reported should come from a process of their own (`measure_fresh`). What the device cannot do
    is None, with a reason. The model is left as it was.

    Args:
        setting: mode and precision in which the model runs.
        batch_sizes: those of the throughput. The default on CUDA is the powers of two up to the
            largest batch that fits into memory, and sizes near that one; on the CPU, the powers of
            two up to 256, as long as larger ones pay, which ends long before memory does.
        inference_batch_size: images per forward pass when memory is measured.
        training_batch_size: images per training step.
        optimizer: makes the optimiser of training steps from the model's parameters.
        seconds: time for timing. Every batch size has its share, for at most 1,000 passes. At least
            three passes of batch size 1, and one training step after a first one, are timed however
            long they take. Compiling, the search for the largest batch and the energy (20 s on
            CUDA) take extra time.
        gmacs: those of `count`, for the utilisation.
        metrics: what is measured of these fields, with what comes along; by default everything.

    Raises:
        ValueError: the device is not there, or sizes are not positive.
    """
    target = resolve(device)
    given = {"image_size": image_size, "in_chans": in_chans, "seconds": seconds}
    given |= {"batch_sizes": min(batch_sizes, default=1)}
    given |= {"inference_batch_size": inference_batch_size}
    given |= {"training_batch_size": training_batch_size}
    if mistakes := [f"{name} is {value}" for name, value in given.items() if not value > 0]:
        raise ValueError(f"{', '.join(mistakes)}; only positive numbers can be measured with")
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    facts = describe(target, setting.precision)  # now, so that the load is that before our work
    bench = Bench(model, Inputs(in_chans, image_size, target, dtype), setting, metrics)
    others, training_share = OtherLoad(target), 1 - _LATENCY_SHARE - _THROUGHPUT_SHARE
    best = None
    with borrowed(model, target):
        if bench.wants(INFERENCE_MEMORY):
            bench.inference_memory(inference_batch_size)
        if bench.wants(TRAINING_MEMORY):
            bench.training_memory(training_batch_size, optimizer)
        others.look()
        if bench.wants(LATENCY):
            bench.latency(seconds * _LATENCY_SHARE)
            others.look()
        if bench.wants(THROUGHPUT, UTILISATION, ENERGY):
            best = bench.throughput(batch_sizes, seconds * _THROUGHPUT_SHARE)
            others.look()
        if bench.wants(ENERGY):
            bench.energy(best)
        if bench.wants(TRAINING_STEP):
            bench.training_step(training_batch_size, optimizer, seconds * training_share)
            others.look()
    if bench.wants(UTILISATION):
        bench.utilisation(best, gmacs, facts)
    bench.leave_out()
    return Measurements(
        **bench.found,
        **others.found,
        inference_memory_batch_size=inference_batch_size,
        training_memory_batch_size=training_batch_size,
        repeats=bench.repeats,
        device=facts,
        reasons=bench.reasons | others.reasons,
    )
