import contextlib
import dataclasses
import gc
import json
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from trainables.efficiency import (
    Counts,
    Measurements,
    Setting,
    bench,
    device,
    measure,
    memory,
    resident,
    throughput,
    timing,
)
from trainables.efficiency.batch_limit import BatchLimit
from trainables.efficiency.energy import Energy
from trainables.efficiency.inputs import Inputs
from trainables.efficiency.unmeasurable import UnmeasurableError
from trainables.metrics import EFFICIENCY

QUICK = {"seconds": 600, "inference_batch_size": 4, "training_batch_size": 4}
CPU = torch.device("cpu")
RESERVED = {
    f"{use}_reserved_memory_bytes" for use in ("inference", "inference_batch_1", "training")
}
ENERGY = {"energy_joules", "power_watts", "idle_power_watts"}
ONLY_CUDA = RESERVED | ENERGY | {"largest_batch_size", "utilisation", "other_gpu_processes"}
BESIDE = {"training_step_ms", "graph_breaks", "other_gpu_processes"}  # not all are catalogued
MOST_REPEATS, MOST_STEPS = timing._MOST_REPEATS, bench._MOST_STEPS
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module", autouse=True)
def _little_to_look_through() -> None:
    """Measuring memory collects garbage, among all that tests before have left."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def few_passes(monkeypatch):
    """So few that the time, which other processes may take, never decides."""
    monkeypatch.setattr(timing, "_WARM_UP_SHARE", 0)
    monkeypatch.setattr(timing, "_MOST_REPEATS", 5)
    monkeypatch.setattr(bench, "_MOST_STEPS", 5)


def small() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))


class Hungry(nn.Module):
    """Runs out of memory above a batch size."""

    def __init__(self, most):
        super().__init__()
        self.most, self.linear = most, nn.Linear(3 * 8 * 8, 6)

    def forward(self, images):
        if len(images) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return self.linear(images.flatten(1))


def test_measurements_and_counts_fill_the_catalogue():
    fields = {f.name for kind in (Counts, Measurements) for f in dataclasses.fields(kind)}
    assert set(EFFICIENCY) <= fields


@linux
def test_everything_is_measured_on_the_cpu():
    found = measure(small(), 8, **QUICK, batch_sizes=(1, 2))
    assert found.reasons.keys() == ONLY_CUDA | {"graph_breaks"}
    assert [result.batch_size for result in found.throughputs] == [1, 2]
    assert found.throughput_images_per_s == max(r.images_per_s for r in found.throughputs)
    assert found.training_step_ms > 0
    for result in found.throughputs:
        assert 0 < result.p10_images_per_s <= result.images_per_s <= result.p90_images_per_s
    assert 0 < found.latency_ms <= found.latency_p90_ms <= found.latency_p99_ms
    assert found.repeats.keys() == {"latency_ms", "throughput_images_per_s", "training_step_ms"}
    assert min(found.repeats.values()) >= 3
    weights = sum(parameter.nbytes for parameter in small().parameters())
    assert found.inference_peak_memory_bytes >= weights
    assert found.inference_batch_1_peak_memory_bytes >= weights
    assert (found.inference_memory_batch_size, found.training_memory_batch_size) == (4, 4)
    assert json.loads(json.dumps(dataclasses.asdict(found)))["device"]["kind"] == "cpu"


def test_the_model_is_left_as_it_was():
    model = small().train()
    model[2].eval()
    model[1].weight.grad = torch.ones_like(model[1].weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    measure(model, 8, **QUICK, batch_sizes=(1,))
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert [module.training for module in model] == [True, True, False, True]
    torch.testing.assert_close(model[1].weight.grad, torch.ones_like(model[1].weight))
    assert model[1].bias.grad is None
    assert torch.equal(torch.get_rng_state(), random_state)


@linux
def test_out_of_memory_is_a_reason_and_what_fitted_stays():
    found = measure(Hungry(2), 8, **QUICK, batch_sizes=(1, 2, 4))
    assert [result.batch_size for result in found.throughputs] == [1, 2]
    assert found.throughput_stopped_by == "out of memory at batch size 4"
    assert found.latency_ms is not None
    for name in ("inference_peak_memory_bytes", "training_peak_memory_bytes"):
        assert getattr(found, name) is None
        assert "out of memory" in found.reasons[name]


def test_every_empty_field_has_a_reason():
    class Full(nn.Linear):
        def forward(self, _images):
            raise MemoryError

    found = measure(Full(1, 1), 8, **QUICK)
    empty = {f.name for f in dataclasses.fields(found) if getattr(found, f.name) is None}
    assert empty == set(found.reasons)
    assert empty == (set(EFFICIENCY) | BESIDE) - {"params", "gflops", "gmacs"}


def test_other_errors_of_a_model_are_raised():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        measure(nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), 8, **QUICK)


@linux
def test_a_peak_that_cannot_be_restarted_is_a_reason(monkeypatch, tmp_path):
    monkeypatch.setattr(resident, "_PROCESS", tmp_path / "absent")
    found = measure(small(), 8, **QUICK, batch_sizes=(1,))
    assert found.inference_peak_memory_bytes is None
    assert "cannot be reset" in found.reasons["training_peak_memory_bytes"]


class Wide(nn.Module):
    """Holds two tensors of 2**20 floats an image at its peak, beside 2**20 weights."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2**20))

    def forward(self, images):
        return (images.flatten(1).mean(1, keepdim=True) * self.scale).sin()[:, :3]


@linux
def test_inference_peak_of_a_known_model():
    inputs = Inputs(3, 8, CPU, torch.float32)
    peak = memory.inference_peak(Wide(), inputs, 8, Setting())
    assert peak.reserved_bytes is None
    assert peak.allocated_bytes == pytest.approx((1 + 2 * 8) * 4 * 2**20, rel=0.1)


@linux
def test_training_peak_holds_the_state_of_the_optimiser():
    inputs = Inputs(3, 8, CPU, torch.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2**15))
    weights = sum(parameter.nbytes for parameter in model.parameters())
    plain, adam = (
        memory.training_peak(model, inputs, 4, optimizer).allocated_bytes
        for optimizer in (torch.optim.SGD, torch.optim.Adam)
    )
    assert plain == pytest.approx(2 * weights, rel=0.2)  # beside their gradients
    assert adam >= 3.9 * weights  # beside gradients and two moments


@linux
def test_the_last_training_step_finds_the_state_of_the_optimiser():
    optimizers, seen = [], []

    def make_adam(parameters):
        optimizers.append(torch.optim.Adam(parameters))
        return optimizers[-1]

    class Watching(nn.Linear):
        def forward(self, images):
            seen.append((len(images), len(optimizers[-1].state)))
            return super().forward(images.flatten(1))

    inputs = Inputs(3, 8, CPU, torch.float32)
    memory.training_peak(Watching(3 * 8 * 8, 5), inputs, 4, make_adam)
    assert seen[-2:] == [(4, 0), (4, 2)]


@linux
def test_a_later_smaller_peak_is_not_hidden_by_an_earlier_one():
    inputs = Inputs(3, 8, CPU, torch.float32)
    first, *_, last = (
        memory.inference_peak(Wide(), inputs, size, Setting()).allocated_bytes
        for size in (2, 16, 2)
    )
    assert last == pytest.approx(first, rel=0.2)


@linux
def test_training_runs_under_its_precision():
    seen = []

    class Watching(nn.Linear):
        def forward(self, images):
            seen.append((super().forward(images.flatten(1))).dtype)
            return super().forward(images.flatten(1))

    inputs = Inputs(3, 8, CPU, torch.float32)
    for precision in ("fp32", "bf16"):
        memory.training_peak(Watching(3 * 8 * 8, 5), inputs, 4, torch.optim.Adam, precision)
    assert seen == [torch.float32] * 4 + [torch.bfloat16] * 4


@linux
def test_compiled_memory_of_a_cpu_is_a_reason():
    with pytest.raises(UnmeasurableError, match="includes the compiler"):
        memory.inference_peak(small(), Inputs(3, 8, CPU, torch.float32), 2, Setting("compile"))


@linux
def test_a_setting_that_the_device_lacks_leaves_the_rest():
    found = measure(small(), 8, **QUICK, setting=Setting("cuda_graph", "fp32", "bf16"))
    assert found.training_peak_memory_bytes > 0
    lacking = {"latency_ms", "throughput_images_per_s", "inference_peak_memory_bytes"}
    assert all("CUDA graphs need a CUDA device" in found.reasons[name] for name in lacking)
    assert all(getattr(found, name) is None for name in lacking)
    assert "CUDA graphs" in found.throughput_stopped_by


@linux
def test_only_training_may_lack_its_precision():
    found = measure(
        small(), 8, **QUICK, batch_sizes=(1,), setting=Setting(training_precision="tf32")
    )
    assert found.latency_ms > 0
    assert found.inference_peak_memory_bytes > 0
    for name in ("training_peak_memory_bytes", "training_step_ms"):
        assert "no tf32 arithmetic" in found.reasons[name]


def test_forward_passes_run_in_the_precision_of_the_setting():
    seen = []

    class Watching(nn.Linear):
        def forward(self, images):
            logits = super().forward(images.flatten(1))
            if not self.training:
                seen.append(logits.dtype)
            return logits

    model = Watching(3 * 8 * 8, 5)
    measure(model, 8, **QUICK, batch_sizes=(1,), setting=Setting(precision="bf16"))
    assert set(seen) == {torch.bfloat16}


def throughput_bench(monkeypatch, rate, kind="cuda", **limit):
    """A bench whose device is `kind`, with `rate` images a second at every batch size."""
    monkeypatch.setattr(bench.Bench, "_on_cuda", kind == "cuda")
    monkeypatch.setattr(bench, "largest_batch", lambda _run: BatchLimit(**limit))
    monkeypatch.setattr(
        throughput,
        "_throughput",
        lambda _m, _i, _s, size, _t: (throughput.Throughput(size, rate, 0, 0, 3), 0.0),
    )
    return bench.Bench(small(), Inputs(3, 8, CPU, torch.float32), Setting())


def test_cuda_tries_powers_of_two_and_sizes_near_the_limit(monkeypatch):
    found = throughput_bench(monkeypatch, 10.0, batch_size=100, reason="full")
    found.throughput((), 1e9)
    tried = [result.batch_size for result in found.found["throughputs"]]
    assert tried == [1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 100]  # though larger ones do not pay
    assert found.found["largest_batch_size"] == 100


def test_cuda_times_the_best_size_again_and_keeps_that(monkeypatch):
    found = throughput_bench(monkeypatch, 10.0, batch_size=4, reason="full")
    asked = []

    def fake(_model, _inputs, _setting, size, seconds):
        asked.append((size, seconds))
        rate = 9.0 if asked.count((size, 50.0)) else 10.0 + (size == 2)
        return throughput.Throughput(size, rate, 0, 0, 40), 0.0

    monkeypatch.setattr(throughput, "_throughput", fake)
    best = found.throughput((), 100.0)
    assert asked[-1] == (2, 50.0)
    assert sum(size == 2 for size, _ in asked) == 2
    assert best in found.found["throughputs"]
    assert (best.batch_size, best.images_per_s) == (2, 9.0)
    assert found.found["throughput_images_per_s"] == 9.0
    assert [result.batch_size for result in found.found["throughputs"]] == [1, 2, 3, 4]


class Clock:
    """Each look at it is a millisecond after the one before."""

    def __init__(self):
        self.looks = 0

    def perf_counter(self):
        self.looks += 1
        return self.looks / 1000


@pytest.mark.slow
def test_a_thousand_passes_are_timed_if_there_is_time(monkeypatch):
    monkeypatch.setattr(timing, "_MOST_REPEATS", MOST_REPEATS)
    monkeypatch.setattr(bench, "_MOST_STEPS", MOST_STEPS)
    for module in (timing, throughput, bench):
        monkeypatch.setattr(module, "time", Clock())

    def passes(seconds):
        found = bench.Bench(small(), Inputs(3, 8, CPU, torch.float32), Setting())
        found.latency(seconds)
        found.throughput((2,), seconds)
        found.training_step(2, torch.optim.SGD, seconds)
        return found.repeats.values()

    assert set(passes(10)) == {1000}
    fewer = list(passes(0.5))
    assert all(3 <= number < 1000 for number in fewer)


def test_a_step_too_long_for_the_time_is_timed_once_after_the_first(monkeypatch):
    monkeypatch.setattr(bench, "time", Clock())
    found = bench.Bench(small(), Inputs(3, 8, CPU, torch.float32), Setting())
    found.training_step(2, torch.optim.SGD, 1e-6)
    assert found.repeats["training_step_ms"] == 1
    assert found.found["training_step_ms"] == pytest.approx(1.0)  # two looks at the clock


def test_no_batch_that_fits_is_a_reason(monkeypatch):
    found = throughput_bench(
        monkeypatch, 10.0, batch_size=0, reason="out of memory at batch size 1"
    )
    found.throughput((), 1e9)
    assert found.found["largest_batch_size"] is None
    assert found.reasons["largest_batch_size"] == "out of memory at batch size 1"


def test_the_cpu_tries_bounded_powers_of_two(monkeypatch):
    found = throughput_bench(monkeypatch, 10.0, kind="cpu", batch_size=1, reason="")
    found.throughput((), 1e9)
    assert [result.batch_size for result in found.found["throughputs"]] == [1, 2, 4]
    assert "not searched" in found.reasons["largest_batch_size"]


@pytest.mark.slow
def test_graph_breaks_are_those_of_the_compiler_and_of_no_other_mode(monkeypatch):
    class Breaking(nn.Linear):
        def forward(self, images):
            torch._dynamo.graph_break()
            return super().forward(images.flatten(1))

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    for model, breaks in ((Breaking(3 * 8 * 8, 5), 1), (small(), 0)):
        found = bench.Bench(model, Inputs(3, 8, CPU, torch.float32), Setting("compile"))
        found.latency(600)
        assert found.found["graph_breaks"] == breaks
        assert "graph_breaks" not in found.reasons
    found = bench.Bench(small(), Inputs(3, 8, CPU, torch.float32), Setting())
    found.latency(600)
    assert found.found["graph_breaks"] is None
    assert found.reasons["graph_breaks"] == "eager compiles nothing"


def test_utilisation_is_the_share_of_the_peak():
    found = bench.Bench(small(), Inputs(3, 8, CPU, torch.float32), Setting())
    best = throughput.Throughput(4, 100.0, 0, 0, 3)
    found.utilisation(best, 2.0, {"name": "H", "peak_flops": 1e12})
    assert found.found["utilisation"] == pytest.approx(2 * 2e9 * 100 / 1e12)
    for arguments, reason in (
        ((None, 2.0, {}), "no batch size could be run"),
        ((best, None, {}), "gmacs were not given"),
        ((best, 2.0, {"name": "H", "peak_flops": None}), "no peak of H in fp32 is known"),
    ):
        found.utilisation(*arguments)
        assert found.found["utilisation"] is None
        assert found.reasons["utilisation"] == reason


def test_energy_is_taken_at_the_batch_size_of_the_best_throughput(monkeypatch):
    found = throughput_bench(monkeypatch, 10.0, batch_size=1, reason="")
    asked = []

    def fake(forward, batch_size, gpu, _wait):
        asked.append((forward(0).shape, batch_size, gpu))
        return Energy(0.5, 300.0, 60.0, 10, 10.0)

    monkeypatch.setattr(bench, "energy", fake)
    monkeypatch.setattr(bench, "gpu", lambda _device: contextlib.nullcontext("gpu"))
    found.energy(throughput.Throughput(4, 100.0, 0, 0, 3))
    assert asked == [((4, 6), 4, "gpu")]
    assert {name: found.found[name] for name in ENERGY} == {
        "energy_joules": 0.5,
        "power_watts": 300.0,
        "idle_power_watts": 60.0,
    }


def rates(monkeypatch, *images_per_s):
    given = iter(images_per_s)
    monkeypatch.setattr(
        throughput,
        "_throughput",
        lambda _m, _i, _s, size, _t: (throughput.Throughput(size, next(given), 0, 0, 3), 0.0),
    )
    sizes = [2**i for i in range(len(images_per_s))]
    subject = (small(), Inputs(3, 8, CPU, torch.float32), Setting())
    found, reason = throughput.throughputs(*subject, sizes, 100)
    return [result.images_per_s for result in found], reason


def test_throughput_ends_when_larger_batches_twice_bring_less_than_three_percent(monkeypatch):
    found, reason = rates(monkeypatch, 100, 110, 112, 113, 200)
    assert found == [100, 110, 112, 113]
    assert "less than 3 %" in reason


def test_throughput_goes_on_while_larger_batches_pay(monkeypatch):
    found, reason = rates(monkeypatch, 100, 101, 110, 90, 200)
    assert found == [100, 101, 110, 90, 200]
    assert "largest" in reason


def test_throughput_ends_before_a_batch_size_that_exceeds_the_time(monkeypatch):
    found, reason = rates(monkeypatch, 1000, 0.05, 100)
    assert found == [1000, 0.05]
    assert "batch size 4 would have exceeded 100 s" in reason


def test_compiling_takes_no_time_of_the_passes(monkeypatch):
    @contextlib.contextmanager
    def slowly(_model, _setting, _images):
        time.sleep(0.2)
        yield lambda batch: batch

    monkeypatch.setattr(timing, "running", slowly)
    subject = (small(), Inputs(3, 8, CPU, torch.float32), Setting())
    found, _ = throughput.throughputs(*subject, (1, 2), 0.1, while_worthwhile=False)
    assert [result.batch_size for result in found] == [1, 2]


def test_a_batch_size_that_cannot_be_compiled_ends_the_throughput(monkeypatch):
    @contextlib.contextmanager
    def picky(_model, _setting, images):
        if len(images) > 1:
            raise UnmeasurableError("torch.compile failed: no")
        yield lambda batch: batch

    monkeypatch.setattr(timing, "running", picky)
    subject = (small(), Inputs(3, 8, CPU, torch.float32), Setting())
    found, reason = throughput.throughputs(*subject, (1, 2), 100)
    assert [result.batch_size for result in found] == [1]
    assert reason == "batch size 2: torch.compile failed: no"


def test_inputs_are_random_and_take_turns():
    batches = Inputs(3, 8, CPU, torch.float32).rotation(4)
    assert batches.shape[1:] == (4, 3, 8, 8)
    assert len(batches) >= 2
    assert batches.nbytes > 2 * 2**20
    assert batches.std() == pytest.approx(1, abs=0.05)
    assert not torch.equal(batches[0], batches[1])
    assert len(Inputs(3, 224, CPU, torch.float32).rotation(32)) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [("cuda:99", "not there"), ("gpu", "unknown"), ("meta", "use 'cpu' or 'cuda'")],
)
def test_devices_that_cannot_be_measured(name, message):
    with pytest.raises(ValueError, match=message):
        measure(small(), 8, name)


def test_all_wrong_sizes_are_told_at_once():
    with pytest.raises(ValueError, match=r"image_size is 0, seconds is -1, batch_sizes is 0"):
        measure(small(), 0, seconds=-1, batch_sizes=(1, 0))


def test_device_facts():
    facts = device.describe("cpu")
    assert json.loads(json.dumps(facts)) == facts
    assert facts["threads"] == torch.get_num_threads()
    assert facts["memory_bytes"] > 2**28
    assert (facts["peak_flops"], facts["cuda"], facts["driver"]) == (None, None, None)


def test_the_peak_of_a_known_gpu_comes_with_its_source(monkeypatch):
    fakes = {"device_count": lambda: 1, "get_device_name": lambda _device: "NVIDIA H200"}
    fakes["get_device_properties"] = lambda _device: SimpleNamespace(total_memory=1)
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    facts = device.describe("cuda", "bf16")
    assert facts["peak_flops"] == pytest.approx(989.5e12)
    assert "H200" in facts["peak_flops_source"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_everything_is_measured_on_cuda():
    found = measure(small(), 8, "cuda", **QUICK, batch_sizes=(1, 2))
    beside = {"largest_batch_size", "utilisation", "graph_breaks", "other_gpu_processes"}
    assert found.reasons.keys() <= ENERGY | beside
    assert found.training_reserved_memory_bytes >= found.training_peak_memory_bytes
    assert found.training_peak_memory_bytes > found.inference_peak_memory_bytes > 0
    assert found.device["kind"] == "cuda"
