"""Energy of forward passes, by the energy counter of an NVIDIA GPU."""

import time
from collections.abc import Callable
from typing import NamedTuple

from trainables.efficiency.occupancy import Gpu
from trainables.efficiency.unmeasurable import UnmeasurableError

LEAST_SECONDS = 10.0  # the counter moves in steps of up to 0.1 s, which is 1 % of this
_WARM_UP_PASSES = 3
_WITHOUT_WAITING_S = 0.1  # the GPU is waited for at this interval, else passes pile up unseen


class Energy(NamedTuple):
    """Energy of a forward pass.

    Attributes:
        energy_joules: energy per image, above what the idle GPU would have used meanwhile.
        watts: mean power while the passes ran, idle power included.
        idle_watts: mean power before, with the model loaded and nothing running.
        images: how many images were processed in `seconds`.
        seconds: how long all passes took.
    """

    energy_joules: float
    watts: float
    idle_watts: float
    images: int
    seconds: float


def energy(
    forward: Callable[[int], object],
    batch_size: int,
    gpu: Gpu,
    wait: Callable[[], object],
    *,
    seconds: float = LEAST_SECONDS,
    idle_seconds: float = LEAST_SECONDS,
) -> Energy:
    """Measure the energy of forward passes.

    Idle power is measured first. A GPU that has just worked cools and slows down for some seconds,
    and draws more power than one that has been idle for long.

    Args:
        forward: `forward(number)` runs a pass of `batch_size` images.
        batch_size: images per pass.
        gpu: the GPU whose counter is read.
        wait: returns when the GPU has done its work (`torch.cuda.synchronize`).
        seconds: the least time to run passes for.
        idle_seconds: the time to measure idle power for.

    Raises:
        ValueError: one of the times is below 10 s, for which the counter is too coarse.
        UnmeasurableError: the GPU has no counter (before Volta), or its power did not rise.
    """
    if min(seconds, idle_seconds) < LEAST_SECONDS:
        raise ValueError(
            f"seconds is {seconds:g}, idle_seconds is {idle_seconds:g}; "
            f"the counter needs at least {LEAST_SECONDS:g}"
        )
    wait()
    started, before = time.perf_counter(), _joules(gpu)
    time.sleep(idle_seconds)
    idle_watts = (_joules(gpu) - before) / (time.perf_counter() - started)
    at_once = _passes_at_once(forward, wait)
    started, before, passes = time.perf_counter(), _joules(gpu), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        for number in range(passes, passes + at_once):
            forward(number)
        passes += at_once
        wait()
    joules, images = _joules(gpu) - before, passes * batch_size
    above_idle = joules - idle_watts * elapsed
    if above_idle <= 0:
        raise UnmeasurableError(
            f"the passes took {joules / elapsed:.3g} W, not more than the {idle_watts:.3g} W before"
        )
    return Energy(above_idle / images, joules / elapsed, idle_watts, images, elapsed)


def _passes_at_once(forward: Callable[[int], object], wait: Callable[[], object]) -> int:
    """How many passes fill the time between two waits, judged by the last warm-up pass."""
    duration = 0.0
    for number in range(_WARM_UP_PASSES):
        started = time.perf_counter()
        forward(number)
        wait()
        duration = time.perf_counter() - started
    return max(1, round(_WITHOUT_WAITING_S / max(duration, 1e-6)))


def _joules(gpu: Gpu) -> float:
    """The GPU's energy since its driver was loaded (nvmlDeviceGetTotalEnergyConsumption)."""
    try:
        return gpu.nvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle) / 1e3
    except gpu.nvml.NVMLError as error:
        raise UnmeasurableError(f"NVML has no energy counter of this GPU: {error}") from error
