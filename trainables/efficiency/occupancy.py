"""The state that a device is measured in: clocks, power cap, temperature, who else is on it."""

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple

import psutil
import torch

from trainables.efficiency.unmeasurable import UnmeasurableError

_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


class Gpu(NamedTuple):
    """A GPU seen through NVML: the module `pynvml`, initialised, and the handle of the GPU."""

    nvml: Any
    handle: Any


@dataclass(frozen=True)
class Occupancy:
    """State of a device at one moment; `reasons` says for each field that is None why.

    Attributes:
        clock_hz: of the GPU's multiprocessors, or the mean over the CPU's cores.
        memory_clock_hz: of the GPU's memory.
        power_cap_watts: the limit that is enforced now.
        temperature_celsius: of the GPU's die, or the highest of the CPU's sensors.
        busy_fraction: share of the last sample period (up to a second) in which the GPU worked;
            whose work it was is not told, so ask before the own work begins.
        other_processes: processes with work on the GPU beside this one.
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
    """NVML's view of a CUDA device, found by its UUID, whatever devices are hidden.

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
    """The state of a device now; never fails: what cannot be told is None with its reason."""
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
    """Processes beside this one, which in a container may appear under a number not its own."""
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
