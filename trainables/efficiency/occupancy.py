"""The state that a device is measured in: clocks, power cap, temperature, who else is on it."""

import importlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple

import psutil
import torch

from trainables.efficiency.unmeasurable import UnmeasurableError
from trainables.processor import usable_cores

_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
_DISTURBING_CORES = 0.25
_DISTURBING_FRACTION = 0.05  # of the GPU's time
_LEAST_STRETCH_S = 0.5  # the system counts in ticks of 10 ms, which is 2 % of this
_NOBODYS = ("idle", "iowait", "guest", "guest_nice")  # guests' time is also in user and nice


class Gpu(NamedTuple):
    """A GPU seen through NVML: the module `pynvml`, initialised, and the handle of the GPU."""

    nvml: Any
    handle: Any


@dataclass(frozen=True)
class Occupancy:
    """State of a device at one moment.

    Attributes:
        clock_hz: that of the GPU's multiprocessors, or the mean over the CPU's cores.
        memory_clock_hz: that of the GPU's memory.
        power_cap_watts: the limit that is enforced now.
        temperature_celsius: that of the GPU's die, or the highest of the CPU's sensors.
        busy_fraction: share of the last sample period (up to a second) in which the GPU worked. It
            does not say whose work it was, so look before your own work begins.
        other_processes: other processes with work on the GPU.
        reasons: for each field that is None, why it is not known.
    """

    clock_hz: float | None
    memory_clock_hz: float | None
    power_cap_watts: float | None
    temperature_celsius: float | None
    busy_fraction: float | None
    other_processes: int | None
    reasons: dict[str, str]


@contextmanager
def gpu(device: torch.device) -> Iterator[Gpu]:
    """NVML's view of a CUDA device, found by its UUID even if other devices are hidden.

    Raises:
        UnmeasurableError: pynvml is not installed, or NVML does not start or know the device.
    """
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError as error:
        raise UnmeasurableError("pynvml is not installed (package nvidia-ml-py)") from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise UnmeasurableError(f"NVML does not start: {error}") from error
    try:
        uuid = torch.cuda.get_device_properties(device).uuid
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        except nvml.NVMLError as error:
            raise UnmeasurableError(f"NVML does not know {device}: {error}") from error
        yield Gpu(nvml, handle)
    finally:
        nvml.nvmlShutdown()


def occupancy(device: torch.device) -> Occupancy:
    """The state of a device now. It never fails: what is not known is None, with a reason."""
    if device.type != "cuda":
        return _occupancy(_cpu_reading)
    try:
        with gpu(device) as found:
            return _occupancy(partial(_gpu_reading, found))
    except UnmeasurableError as error:
        return Occupancy(**dict.fromkeys(_FIELDS), reasons=dict.fromkeys(_FIELDS, str(error)))


_FIELDS = tuple(field.name for field in fields(Occupancy) if field.name != "reasons")


def _occupancy(reading: Callable[[str], Any]) -> Occupancy:
    values: dict[str, Any] = dict.fromkeys(_FIELDS)
    reasons: dict[str, str] = {}
    for field in _FIELDS:
        try:
            values[field] = reading(field)
        except UnmeasurableError as error:
            reasons[field] = str(error)
    return Occupancy(**values, reasons=reasons)


def _gpu_reading(found: Gpu, field: str) -> float:
    nvml, handle = found
    try:
        match field:
            case "clock_hz":
                return nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM) * 1e6
            case "memory_clock_hz":
                return nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM) * 1e6
            case "power_cap_watts":
                return nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1e3
            case "temperature_celsius":
                return nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
            case "busy_fraction":
                return nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            case _:
                processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
                processes += nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)
                return _others({process.pid for process in processes})
    except nvml.NVMLError as error:
        raise UnmeasurableError(f"NVML does not tell {field}: {error}") from error


def _others(pids: set[int]) -> int:
    """Number of other processes. In a container, this one may be listed with another number."""
    ours_is_there = os.getpid() in pids or torch.cuda.is_initialized()
    return max(0, len(pids) - ours_is_there)


def _cpu_reading(field: str) -> float:
    if field == "clock_hz":
        frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
        if frequency and frequency.current:
            return frequency.current * 1e6
    if field == "temperature_celsius":
        sensors = getattr(psutil, "sensors_temperatures", dict)()
        if found := [heat.current for name in _CPU_SENSORS for heat in sensors.get(name, ())]:
            return max(found)
    raise UnmeasurableError(f"the system does not tell {field} of a CPU")


class OtherLoad:
    """Whether other processes used the machine while something was measured.

    Make it before your own work begins, and call `look()` between the steps. Other processes are
    those that this one did not start. On a CPU only the cores count that this process may use; time
    that a hypervisor took from them (steal) counts as others' work. Load that was there only before
    does not count.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._began = self._last = _CpuTimes.now()
        self._most_cores: float | None = None  # of all stretches that were long enough
        self._busy_cores: float | None = None
        before = occupancy(device)
        self._gpu_was_busy = (before.busy_fraction or 0) > _DISTURBING_FRACTION
        self._gpu_processes = before.other_processes
        self.reasons: dict[str, str] = {}
        if before.other_processes is None:
            self.reasons["other_gpu_processes"] = before.reasons["other_processes"]

    def look(self) -> None:
        """Take in what happened since the last look; a stretch that is too short is continued."""
        now = _CpuTimes.now()
        self._busy_cores = self._most_cores
        if now.at - self._last.at >= _LEAST_STRETCH_S:
            self._busy_cores = self._most_cores = max(self._most_cores or 0, now.others(self._last))
            self._last = now
        elif self._most_cores is None:
            self._busy_cores = now.others(self._began)
        if now.unbelievable(self._began):
            self._busy_cores = None
            why = "the system's count of busy cores does not include this process's own work"
            self.reasons |= dict.fromkeys(("other_busy_cores", "other_load"), why)
        processes = (self._gpu_processes, occupancy(self._device).other_processes)
        self._gpu_processes = max((n for n in processes if n is not None), default=None)

    @property
    def found(self) -> dict[str, Any]:
        """The fields of `Measurements` that begin with `other_`; `reasons` says why one is None."""
        disturbed = None if self._busy_cores is None else self._busy_cores > _DISTURBING_CORES
        return {
            "other_busy_cores": self._busy_cores,
            "other_gpu_processes": self._gpu_processes,
            "other_load": self._gpu_was_busy or bool(self._gpu_processes) or disturbed,
        }


class _CpuTimes(NamedTuple):
    """A moment, and until then the processor time of all processes and of ours, in seconds."""

    at: float
    busy: float
    own: float

    @classmethod
    def now(cls) -> "_CpuTimes":
        return cls(time.perf_counter(), _busy_s(), _own_s())

    def others(self, earlier: "_CpuTimes") -> float:
        """How many cores other processes kept busy since `earlier`."""
        busy, own = self.busy - earlier.busy, self.own - earlier.own
        return max(0.0, busy - own) / max(self.at - earlier.at, 1e-9)

    def unbelievable(self, earlier: "_CpuTimes") -> bool:
        """Whether the counters stand still, as they do in some containers."""
        own = self.own - earlier.own
        return own > 2 * _LEAST_STRETCH_S and self.busy - earlier.busy < own / 2


def _busy_s() -> float:
    """Seconds for which the cores that this process may use were busy since the system started."""
    cores = psutil.cpu_times(percpu=True)
    usable = usable_cores()
    if 0 < len(usable) < len(cores):  # else all are usable, maybe with other numbers
        cores = [cores[number] for number in usable if number < len(cores)]
    times = [core._asdict() for core in cores]
    return sum(value for core in times for name, value in core.items() if name not in _NOBODYS)


def _own_s() -> float:
    """Seconds of processor time of this process and its descendants."""
    ended = os.times()
    total = time.process_time() + ended.children_user + ended.children_system
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended, and is counted above
            total += sum(child.cpu_times()[:4])  # user, system, and both for its ended children
    return total
