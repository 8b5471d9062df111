"""A model on a device, and what is measured of it: values, or None and the reason."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median
from typing import Any

import torch

from trainables.efficiency import peaks
from trainables.efficiency.batch_limit import largest_batch, sizes_near
from trainables.efficiency.energy import Energy, energy
from trainables.efficiency.execution import Setting, Step, graph_breaks, training
from trainables.efficiency.inputs import Inputs
from trainables.efficiency.memory import MakeOptimizer, MemoryPeak, inference_peak, training_peak
from trainables.efficiency.occupancy import gpu
from trainables.efficiency.throughput import Throughput, throughputs
from trainables.efficiency.timing import latency_s, rotating
from trainables.efficiency.unmeasurable import UnmeasurableError, attempt

_POWERS_ON_CPU = tuple(2**exponent for exponent in range(9))
_SEARCH_SHARE = 0.5  # of the throughput's time on CUDA, for finding the batch size
_MOST_STEPS = 1000
# what each method fills in
INFERENCE_MEMORY = tuple(
    f"{use}_{kind}_memory_bytes"
    for use in ("inference", "inference_batch_1")
    for kind in ("peak", "reserved")
)
TRAINING_MEMORY = ("training_peak_memory_bytes", "training_reserved_memory_bytes")
LATENCY = ("latency_ms", "latency_p90_ms", "latency_p99_ms", "graph_breaks")
THROUGHPUT = ("throughput_images_per_s", "throughput_batch_size", "largest_batch_size")
ENERGY = ("energy_joules", "power_watts", "idle_power_watts")
TRAINING_STEP = ("training_step_ms",)
UTILISATION = ("utilisation",)
NOT_WANTED = "it was not asked for"


@dataclass
class Bench:
    """Each method measures what its name says.

    Values go to `found`; where a value is None, the reason goes to `reasons`. `repeats` are the
    numbers of timed passes behind the values. `metrics` are wanted, or all if there are none.
    """

    model: torch.nn.Module
    inputs: Inputs
    setting: Setting
    metrics: Collection[str] = ()
    found: dict[str, Any] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def wants(self, *parts: Sequence[str]) -> bool:
        """Whether anything of these is wanted."""
        return not self.metrics or any(name in self.metrics for part in parts for name in part)

    def leave_out(self) -> None:
        """Say of everything that was not measured that it was not asked for."""
        none = {"throughputs": (), "throughput_stopped_by": NOT_WANTED}
        parts = (INFERENCE_MEMORY, TRAINING_MEMORY, LATENCY, THROUGHPUT, ENERGY, TRAINING_STEP)
        missing = [n for part in (*parts, UTILISATION) for n in part if n not in self.found]
        self.found = none | dict.fromkeys(missing) | self.found
        self.reasons |= dict.fromkeys(missing, NOT_WANTED)

    def inference_memory(self, batch_size: int) -> None:
        peak = partial(inference_peak, self.model, self.inputs, setting=self.setting)
        self._memory("inference", partial(peak, batch_size))
        self._memory("inference_batch_1", partial(peak, 1))

    def training_memory(self, batch_size: int, optimizer: MakeOptimizer) -> None:
        peak = partial(training_peak, self.model, self.inputs, batch_size, optimizer)
        self._memory("training", partial(peak, self.setting.training_precision))

    def latency(self, seconds: float) -> None:
        """Also counts the compiler's graph breaks, since the model is compiled here."""
        compiled = self.setting.mode == "compile"

        def measured() -> tuple[float | None, ...]:
            breaks = graph_breaks() if compiled else 0
            found = latency_s(self.model, self.inputs, self.setting, seconds)
            self.repeats["latency_ms"] = found.repeats
            breaks = graph_breaks() - breaks if compiled else None
            return found.median * 1e3, found.p90 * 1e3, found.p99 * 1e3, breaks

        self.repeats["latency_ms"] = 0
        self._fill(LATENCY, measured)
        if not compiled:
            self.reasons["graph_breaks"] = f"{self.setting.mode} compiles nothing"

    def throughput(self, batch_sizes: Sequence[int], seconds: float) -> Throughput | None:
        """Also returns the best throughput; the default batch sizes are those that suit the device.

        On CUDA, where there are many sizes, half of the time is for timing the best one again.
        """
        sizes = self._sizes(batch_sizes)
        again = self._on_cuda and len(sizes) > 1
        subject = (self.model, self.inputs, self.setting)
        tried, stopped_by = throughputs(
            *subject,
            sizes,
            seconds * _SEARCH_SHARE if again else seconds,
            while_worthwhile=not self._on_cuda,
        )
        best = max(tried, key=lambda result: result.images_per_s, default=None)
        if best and again:
            longer, _ = throughputs(*subject, [best.batch_size], seconds * (1 - _SEARCH_SHARE))
            for result in longer:
                tried[tried.index(best)] = best = result

        def measured() -> tuple[float, int]:
            if best is None:
                raise UnmeasurableError(stopped_by)
            return best.images_per_s, best.batch_size

        self._fill(("throughput_images_per_s", "throughput_batch_size"), measured)
        self.found |= {"throughputs": tuple(tried), "throughput_stopped_by": stopped_by}
        self.repeats["throughput_images_per_s"] = best.repeats if best else 0
        return best

    def training_step(self, batch_size: int, optimizer: MakeOptimizer, seconds: float) -> None:
        """The median time of one step or more, after a first one that does not count."""

        def measured() -> tuple[float]:
            batches = self.inputs.rotation(batch_size)
            device, precision = self.inputs.device, self.setting.training_precision
            with training(
                self.model, precision, device, optimizer(self.model.parameters())
            ) as step:
                durations = _step_durations_s(step, batches, seconds)
            self.repeats["training_step_ms"] = len(durations)
            return (median(durations) * 1e3,)

        self.repeats["training_step_ms"] = 0
        self._fill(TRAINING_STEP, measured)

    def energy(self, best: Throughput | None) -> None:
        """Measured at the batch size of the best throughput."""
        self._fill(ENERGY, lambda: self._energy(best)[:3])

    def utilisation(
        self, best: Throughput | None, gmacs: float | None, device: Mapping[str, Any]
    ) -> None:
        """The share that the best throughput achieves of the peak in `device` (`describe`)."""

        def measured() -> tuple[float | None]:
            if best is None or gmacs is None:
                raise UnmeasurableError(
                    "no batch size could be run" if best is None else "gmacs were not given"
                )
            if device["peak_flops"] is None:
                precision = self.setting.precision
                raise UnmeasurableError(f"no peak of {device['name']} in {precision} is known")
            return (peaks.utilisation(gmacs * 1e9, best.images_per_s, device["peak_flops"]),)

        self._fill(UTILISATION, measured)

    @property
    def _on_cuda(self) -> bool:
        return self.inputs.device.type == "cuda"

    def _fill(self, names: Sequence[str], measured: Callable[[], Sequence[Any]]) -> None:
        values = attempt(measured, self.reasons, *names) or [None] * len(names)
        self.found |= dict(zip(names, values, strict=True))

    def _memory(self, use: str, measured: Callable[[], MemoryPeak]) -> None:
        names = (f"{use}_peak_memory_bytes", f"{use}_reserved_memory_bytes")
        self._fill(names, measured)
        if not self._on_cuda:
            self.reasons[names[1]] = "PyTorch's allocator reserves no memory on the CPU"

    def _sizes(self, given: Sequence[int]) -> Sequence[int]:
        """Batch sizes to try; also fills in the largest that fits, if it is searched."""

        def searched() -> tuple[int]:
            if given:
                raise UnmeasurableError("batch sizes were given, so the largest was not searched")
            if not self._on_cuda:
                raise UnmeasurableError("the largest batch is not searched on a CPU")
            limit = largest_batch(self._run_once)
            if not limit.batch_size:
                raise UnmeasurableError(limit.reason)
            return (limit.batch_size,)

        self._fill(("largest_batch_size",), searched)
        if given or not self._on_cuda:
            return given or _POWERS_ON_CPU
        largest = self.found["largest_batch_size"] or 1  # timing this size tells why it fails
        powers = {2**exponent for exponent in range(largest.bit_length())}
        return sorted(powers | {*sizes_near(largest)})

    def _run_once(self, batch_size: int) -> None:
        """One pass, not compiled, while as many batches are held as during timing."""
        eager = replace(self.setting, mode="eager")
        with rotating(self.model, self.inputs, eager, batch_size) as forward:
            forward(0)
            torch.cuda.synchronize(self.inputs.device)

    def _energy(self, best: Throughput | None) -> Energy:
        device = self.inputs.device
        if not self._on_cuda:
            raise UnmeasurableError("only NVIDIA GPUs tell their energy; this device is a CPU")
        if best is None:
            raise UnmeasurableError("no batch size could be run")
        passes = rotating(self.model, self.inputs, self.setting, best.batch_size)
        with gpu(device) as found, passes as forward:
            wait = partial(torch.cuda.synchronize, device)
            return energy(forward, best.batch_size, found, wait)


def _step_durations_s(step: Step, batches: torch.Tensor, seconds: float) -> list[float]:
    """Seconds of each step after the first, as many as fit in `seconds`; waits for each to end."""
    durations: list[float] = []
    started = time.perf_counter()
    while len(durations) <= _MOST_STEPS:
        begun = time.perf_counter()
        if len(durations) > 1 and begun - started + durations[-1] > seconds:
            break
        step(batches[len(durations) % len(batches)])
        if batches.is_cuda:
            torch.cuda.synchronize(batches.device)
        durations.append(time.perf_counter() - begun)
    return durations[1:]
