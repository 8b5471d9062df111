import os
import sys
from dataclasses import fields
from types import SimpleNamespace

import psutil
import pytest
import torch

from trainables.efficiency.occupancy import Occupancy, gpu, occupancy
from trainables.efficiency.unmeasurable import UnmeasurableError

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
FIELDS = {field.name for field in fields(Occupancy)} - {"reasons"}


class NVMLError(Exception):
    pass


class FakeNvml:
    """One GPU, known by its UUID; queries in `unsupported` fail as NVML's do."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, pids=(), unsupported=()):
        self.pids, self.opened = pids, 0
        answers = {
            "ClockInfo": lambda kind: {1: 1410, 2: 1593}[kind],
            "EnforcedPowerLimit": lambda: 400_000,
            "Temperature": lambda sensor: {0: 41}[sensor],
            "UtilizationRates": lambda: SimpleNamespace(gpu=25),
            "ComputeRunningProcesses": lambda: [SimpleNamespace(pid=pid) for pid in self.pids],
            "GraphicsRunningProcesses": lambda: [SimpleNamespace(pid=pid) for pid in self.pids],
        }
        for name, answer in answers.items():
            query = f"nvmlDeviceGet{name}"
            setattr(self, query, self.query(answer, query in unsupported))

    @staticmethod
    def query(answer, unsupported):
        def asked(handle, *arguments):
            assert handle == "handle"
            if unsupported:
                raise NVMLError("Not Supported")
            return answer(*arguments)

        return asked

    def nvmlInit(self):  # noqa: N802 - NVML's name
        self.opened += 1

    def nvmlShutdown(self):  # noqa: N802 - NVML's name
        self.opened -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802 - NVML's name
        if uuid != "GPU-1234-abcd":
            raise NVMLError("Not Found")
        return "handle"


@pytest.fixture
def nvml(monkeypatch):
    def install(uuid="1234-abcd", **options):
        fake = FakeNvml(**options)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda _device: SimpleNamespace(uuid=uuid)
        )
        return fake

    return install


def empty(found):
    return {name for name in FIELDS if getattr(found, name) is None}


def test_a_gpu_tells_all(nvml):
    fake = nvml(pids=(os.getpid(), 17, 23))
    found = occupancy(CUDA)
    assert found == Occupancy(1.41e9, 1.593e9, 400, 41, 0.25, 2, {})
    assert fake.opened == 0


@pytest.mark.parametrize(
    ("pids", "initialised", "others"),
    [((), False, 0), ((), True, 0), ((17,), False, 1), ((17,), True, 0), ((17, 23), True, 1)],
)
def test_this_process_may_appear_under_another_number(nvml, monkeypatch, pids, initialised, others):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: initialised)
    nvml(pids=pids)
    assert occupancy(CUDA).other_processes == others


def test_what_a_gpu_does_not_tell_has_a_reason(nvml):
    nvml(unsupported=("nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetGraphicsRunningProcesses"))
    found = occupancy(CUDA)
    assert empty(found) == set(found.reasons) == {"power_cap_watts", "other_processes"}
    assert found.reasons["power_cap_watts"] == "NVML does not tell power_cap_watts: Not Supported"


def test_without_pynvml_every_field_has_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = occupancy(CUDA)
    assert empty(found) == set(found.reasons) == FIELDS
    assert "pynvml is not installed" in found.reasons["clock_hz"]


def test_a_gpu_that_nvml_does_not_know_is_a_reason_and_nvml_is_closed(nvml):
    fake = nvml(uuid="a slice of a GPU")
    with pytest.raises(UnmeasurableError, match="does not know cuda:0: Not Found"), gpu(CUDA):
        pass
    assert fake.opened == 0


def test_nvml_that_does_not_start_is_a_reason(nvml, monkeypatch):
    def fails():
        raise NVMLError("Driver Not Loaded")

    monkeypatch.setattr(nvml(), "nvmlInit", fails)
    with pytest.raises(UnmeasurableError, match="does not start: Driver Not Loaded"), gpu(CUDA):
        pass


def test_a_cpu_tells_clock_and_temperature(monkeypatch):
    heat = {"acpitz": [SimpleNamespace(current=90.0)]}
    heat["coretemp"] = [SimpleNamespace(current=value) for value in (40.0, 55.0)]
    monkeypatch.setattr(psutil, "cpu_freq", lambda: SimpleNamespace(current=2600.0), raising=False)
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: heat, raising=False)
    found = occupancy(CPU)
    assert (found.clock_hz, found.temperature_celsius) == (2.6e9, 55.0)
    assert empty(found) == set(found.reasons) == FIELDS - {"clock_hz", "temperature_celsius"}


def test_a_cpu_that_tells_nothing_has_reasons(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_freq", lambda: None, raising=False)
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    found = occupancy(CPU)
    assert empty(found) == set(found.reasons) == FIELDS


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_occupancy_on_cuda():
    pytest.importorskip("pynvml")
    assert occupancy(CUDA).temperature_celsius > 0
