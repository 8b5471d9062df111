import pytest
import torch

from trainables.efficiency import energy as energy_module
from trainables.efficiency.energy import energy
from trainables.efficiency.occupancy import Gpu
from trainables.efficiency.unmeasurable import UnmeasurableError

IDLE_WATTS, BUSY_WATTS, PASS_S = 60.0, 300.0, 0.02


class NVMLError(Exception):
    pass


class Machine:
    """A clock that only passes and sleeping advance, and the GPU's counter in millijoules."""

    NVMLError = NVMLError

    def __init__(self, busy_watts=BUSY_WATTS):
        self.now_s = self.taken_joules = self.queued_s = 0.0
        self.busy_watts, self.waits, self.passes = busy_watts, 0, 0

    def perf_counter(self):
        return self.now_s

    def sleep(self, seconds):
        assert not self.queued_s, "idle power is that of a GPU at rest"
        self.spend(seconds, IDLE_WATTS)

    def spend(self, seconds, watts):
        self.now_s += seconds
        self.taken_joules += seconds * watts

    def forward(self, _number):
        self.passes += 1
        self.queued_s += PASS_S  # returns before the GPU has done it

    def wait(self):
        self.spend(self.queued_s, self.busy_watts)
        self.queued_s, self.waits = 0.0, self.waits + 1

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802 - NVML's name
        assert handle == "handle"
        return int(self.taken_joules * 1e3)


def measured(monkeypatch, machine, batch_size=8, **options):
    monkeypatch.setattr(energy_module, "time", machine)
    gpu = Gpu(machine, "handle")
    return energy(machine.forward, batch_size, gpu, machine.wait, **options)


def test_energy_of_an_image_is_that_above_idle(monkeypatch):
    machine = Machine()
    found = measured(monkeypatch, machine)
    assert found.energy_joules == pytest.approx((BUSY_WATTS - IDLE_WATTS) * PASS_S / 8, rel=1e-3)
    assert found.watts == pytest.approx(BUSY_WATTS, rel=1e-3)
    assert found.idle_watts == pytest.approx(IDLE_WATTS, rel=1e-3)
    assert found.seconds >= 10
    assert found.images == round(found.seconds / PASS_S) * 8


def test_passes_queue_up_for_a_tenth_of_a_second_at_most(monkeypatch):
    machine = Machine()
    measured(monkeypatch, machine)
    assert machine.passes / machine.waits == pytest.approx(0.1 / PASS_S, rel=0.1)


def test_a_counter_that_does_not_rise_above_idle_is_a_reason(monkeypatch):
    with pytest.raises(UnmeasurableError, match="not more than the 60 W before"):
        measured(monkeypatch, Machine(busy_watts=IDLE_WATTS / 2))


def test_a_gpu_without_a_counter_is_a_reason(monkeypatch):
    machine = Machine()

    def unsupported(_handle):
        raise NVMLError("Not Supported")

    monkeypatch.setattr(machine, "nvmlDeviceGetTotalEnergyConsumption", unsupported)
    with pytest.raises(UnmeasurableError, match="no energy counter of this GPU: Not Supported"):
        measured(monkeypatch, machine)


@pytest.mark.parametrize("short", [{"seconds": 2}, {"idle_seconds": 2}])
def test_too_short_a_time_is_refused(monkeypatch, short):
    with pytest.raises(ValueError, match="needs at least 10"):
        measured(monkeypatch, Machine(), **short)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_energy_on_cuda():
    from trainables.efficiency.occupancy import gpu

    pytest.importorskip("pynvml")
    matrix = torch.randn(4096, 4096, device="cuda")
    with gpu(torch.device("cuda", 0)) as found:
        result = energy(lambda _: matrix @ matrix, 1, found, torch.cuda.synchronize)
    assert result.watts > result.idle_watts > 0
