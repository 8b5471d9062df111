"""Objectives and limits that need no training: counted, or measured once while no epoch runs."""

import math
import threading
import time

import pytest

from search.costs import SECONDS, architecture_of, counts
from search.feasibility import Feasibility
from search.measuring import Measuring
from search.quantities import Measured, quantities
from trainables.efficiency.execution import Setting
from trainables.efficiency.results import Results
from trainables.errors import BadRequestError
from trainables.home import Home
from trainables.lock import shared

PARAMS = {"grid": 7, "depth": 4, "dim": 64, "heads": 2, "k_dim": 16, "shared_kv": True}
LARGER = PARAMS | {"depth": 8}


class Device:
    """Answers as a fresh process does; each block of a model takes a millisecond."""

    def __init__(self, **missing):
        self.asked, self.missing, self.metrics = [], missing, ()

    def __call__(self, _model, params, *, metrics, **_):
        self.asked.append(params["depth"])
        self.metrics = metrics
        measured = {
            "latency_ms": float(params["depth"]),
            "throughputs": [[1, 1000.0 / params["depth"], 0.01]],
            "throughput_images_per_s": 1000.0 / params["depth"],
            "throughput_batch_size": 1,
        }
        return {"measurements": measured | self.missing, "counts": {}, "reasons": {}}


@pytest.fixture
def device():
    return Device()


@pytest.fixture
def make(make_plan, tmp_path, device):
    def made(*objectives, **limits):
        plan = make_plan(objectives=("valid_top1", *objectives), limits=limits)
        told = []
        way = Measuring(device, "cpu: a processor", 1)
        found = Measured(Home(tmp_path), plan, way, tmp_path / "quiet", told.append)
        return plan, found, told

    return made


def test_what_is_counted_needs_no_device(make_plan):
    plan = make_plan(objectives=("valid_top1", "params"), limits={"gflops": 0.08})
    found = quantities(plan, None)
    counted = counts(plan)(PARAMS)
    assert found.known["params"](PARAMS) == counted.params
    quantity, limit = found.constraints["gflops"]
    assert (quantity(PARAMS), limit) == (counted.gflops, 0.08)
    assert found.costly.keys() == {"params", "gflops"}


def test_an_architecture_is_measured_once(make, device):
    plan, measured, told = make("latency_ms")
    latency = quantities(plan, measured).known["latency_ms"]
    assert [latency(PARAMS), latency(PARAMS | {"lr": 0.5}), latency(LARGER)] == [4.0, 4.0, 8.0]
    assert device.asked == [4, 8]
    assert told[0].startswith("measured latency_ms 4 ms of depth=4 dim=64")
    again = quantities(plan, make("latency_ms")[1]).known["latency_ms"]
    assert again(PARAMS) == 4.0, "it is in the home's table"
    assert device.asked == [4, 8]


def test_no_more_is_measured_than_what_is_wanted(make, device):
    make("latency_ms", throughput_images_per_s=1.0)[1].row(PARAMS)
    assert device.metrics == ("latency_ms", "throughput_images_per_s")


def test_what_was_measured_whole_is_not_measured_again(make, device, tmp_path):
    plan, measured, _ = make("latency_ms")
    whole = Measuring(device, "cpu: a processor", 1).conditions(SECONDS)
    subject = architecture_of(LARGER, plan, "earlier")
    answer = {"measurements": {"latency_ms": 7.0}, "counts": {}, "reasons": {}}
    Results(tmp_path).add(whole.of(subject, Setting()), [answer])
    assert make("latency_ms")[1].row(LARGER)["latency_ms"] == 7.0
    assert measured.row(PARAMS)["latency_ms"] == 4.0
    assert device.asked == [4]


def test_limits_refuse_without_training(make):
    plan, measured, _ = make(latency_ms=5.0, throughput_images_per_s=200.0)
    found = Feasibility(plan.searched, plan.image_size, quantities(plan, measured).constraints)
    assert found.holds(PARAMS)
    excesses = found.excesses(plan.searched.fixed | LARGER)
    assert excesses["latency_ms"] == (3.0, "latency_ms 8 exceeds the limit 5")
    excess, said = excesses["throughput_images_per_s"]
    assert (excess, said) == (75.0, "throughput_images_per_s 125 is below the limit 200")


def test_what_cannot_be_measured_breaks_a_limit(make, device):
    device.missing = {"latency_ms": None}
    plan, measured, _ = make("latency_ms")
    found = quantities(plan, measured)
    assert found.known["latency_ms"](PARAMS) == math.inf
    excess, said = Feasibility(plan.searched, 56, found.constraints).excesses(PARAMS)["latency_ms"]
    assert (excess, said) == (math.inf, "latency_ms cannot be measured")
    with pytest.raises(BadRequestError, match="latency_ms cannot be measured here"):
        measured.refuse_missing(PARAMS)


def test_it_waits_for_the_epochs_that_run(make, tmp_path, device):
    measured = make("latency_ms")[1]
    waiting = threading.Thread(target=measured.row, args=(PARAMS,))
    with shared(tmp_path / "quiet"):
        waiting.start()
        time.sleep(0.2)
        assert device.asked == []
    waiting.join(10)
    assert device.asked == [4]


def test_what_breaks_a_counted_limit_is_not_measured(make, device):
    plan, measured, _ = make("latency_ms", gflops=1e-9)
    found = Feasibility(plan.searched, plan.image_size, quantities(plan, measured).constraints)
    assert not found.holds(PARAMS)
    assert device.asked == []
