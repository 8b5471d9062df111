import os
import subprocess
import sys
from collections import namedtuple
from dataclasses import fields, replace
from types import SimpleNamespace

import psutil
import pytest
import torch

from trainables.efficiency import occupancy as module
from trainables.efficiency.occupancy import Occupancy, OtherLoad, gpu, occupancy
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


Times = namedtuple("Times", "user system idle iowait steal guest")
IDLE = Times(0, 0, 0, 0, 0, 0)
QUIET = Occupancy(None, None, None, None, 0.0, 0, {})


@pytest.fixture
def machine(monkeypatch):
    """A machine of two cores whose clocks and processes are what a test says."""
    told = SimpleNamespace(at=0.0, own=0.0, cores=[IDLE, IDLE], usable=[0, 1], gpu=QUIET)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: told.at))
    monkeypatch.setattr(module, "_own_s", lambda: told.own)
    monkeypatch.setattr(psutil, "cpu_times", lambda **_percpu: told.cores)
    monkeypatch.setattr(module, "usable_cores", lambda: told.usable)
    monkeypatch.setattr(module, "occupancy", lambda _device: told.gpu)
    return told


def spend(machine, seconds, own, *busy):
    """Let time pass in which every core is busy for a share, and our own process for `own`."""
    machine.at += seconds
    machine.own += own * seconds
    machine.cores = [
        core._replace(user=core.user + share * seconds, idle=core.idle + (1 - share) * seconds)
        for core, share in zip(machine.cores, busy, strict=True)
    ]


def looked(others):
    others.look()
    return others.found["other_busy_cores"], others.found["other_load"]


def test_a_load_that_starts_during_the_measuring_is_other_load(machine):
    others = OtherLoad(CPU)
    spend(machine, 10, 1.0, 1.0, 0.0)
    assert looked(others) == (pytest.approx(0), False)
    spend(machine, 2, 1.0, 1.0, 1.0)
    assert looked(others) == (pytest.approx(1), True)
    spend(machine, 50, 1.0, 1.0, 0.0)
    assert looked(others) == (pytest.approx(1), True), "the worst stretch counts, not the mean"


def test_a_little_work_of_others_does_not_disturb(machine):
    others = OtherLoad(CPU)
    spend(machine, 10, 1.5, 1.0, 0.7)
    assert looked(others) == (pytest.approx(0.2), False)


def test_stretches_too_short_for_the_clock_are_taken_together(machine):
    others = OtherLoad(CPU)
    spend(machine, 0.1, 0.0, 1.0, 1.0)
    assert looked(others) == (pytest.approx(2), True), "all there is"
    spend(machine, 0.9, 0.0, 0.0, 0.0)
    assert looked(others) == (pytest.approx(0.2), False)
    spend(machine, 0.1, 0.0, 1.0, 1.0)
    assert looked(others) == (pytest.approx(0.2), False)


def test_only_cores_count_that_this_process_may_use(machine):
    machine.usable = [1]
    others = OtherLoad(CPU)
    spend(machine, 10, 1.0, 1.0, 1.0)
    assert looked(others) == (pytest.approx(0), False)


def test_what_a_hypervisor_takes_is_others_and_waiting_for_a_disk_is_not(machine):
    others = OtherLoad(CPU)
    machine.at += 10
    machine.cores = [Times(2, 0, 3, 5, 0, 2), Times(0, 0, 5, 0, 5, 0)]
    machine.own = 2.0
    assert looked(others) == (pytest.approx(0.5), True)


def test_counters_that_stand_still_are_a_reason_and_no_quiet(machine):
    others = OtherLoad(CPU)
    spend(machine, 10, 1.0, 0.0, 0.0)
    assert looked(others) == (None, None)
    assert others.reasons.keys() == {"other_busy_cores", "other_load"}


@pytest.mark.parametrize(
    ("before", "during", "processes", "disturbed"),
    [
        (QUIET, QUIET, 0, False),
        (replace(QUIET, busy_fraction=0.5), QUIET, 0, True),
        (replace(QUIET, busy_fraction=0.01), replace(QUIET, busy_fraction=1.0), 0, False),
        (QUIET, replace(QUIET, other_processes=2), 2, True),
        (replace(QUIET, other_processes=1), QUIET, 1, True),
    ],
)
def test_others_on_the_gpu_disturb_before_and_during(machine, before, during, processes, disturbed):
    machine.gpu = before
    others = OtherLoad(CUDA)
    for state in (during, QUIET):
        machine.gpu = state
        spend(machine, 1, 1.0, 1.0, 0.0)
        others.look()
    assert others.found["other_gpu_processes"] == processes
    assert others.found["other_load"] is disturbed
    assert not others.reasons


def test_a_gpu_whose_processes_are_not_told_has_a_reason(machine):
    machine.gpu = replace(QUIET, other_processes=None, reasons={"other_processes": "no NVML"})
    others = OtherLoad(CUDA)
    others.look()
    assert others.found["other_gpu_processes"] is None
    assert others.reasons == {"other_gpu_processes": "no NVML"}


def test_the_work_of_our_own_children_is_ours():
    def burning(ended):
        code = "for _ in range(10**6): pass\nprint(flush=True)\ninput()"
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        child.stdout.readline()
        alive = module._own_s()
        child.communicate(b"\n")
        return alive if not ended else module._own_s()

    for ended in (False, True):
        before = module._own_s()
        own = psutil.Process().cpu_times()
        found = burning(ended)
        now = psutil.Process().cpu_times()
        assert found - before > now.user + now.system - own.user - own.system + 0.01


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_occupancy_on_cuda():
    pytest.importorskip("pynvml")
    assert occupancy(CUDA).temperature_celsius > 0
