"""How a cluster is divided into lanes, and when it is refused; no Ray is started."""

import os
from pathlib import Path

import pytest

from search import cluster
from search.cluster import Crews, Resources, _fitting, address_of, crews, precheck
from trainables.errors import ResourceError

LAPTOP = {"CPU": 4.0, "memory": 8e9}
GPU_NODE = {"CPU": 8.0, "GPU": 2.0, "accelerator_type:H100": 1.0}


@pytest.fixture
def nodes(monkeypatch):
    """The nodes of a connected cluster, which may be changed."""
    there: list[dict[str, float]] = []
    monkeypatch.setattr(cluster, "_nodes", lambda: there)
    return there


@pytest.mark.parametrize(
    ("there", "asked", "lanes"),
    [
        ([], Resources(), 0),
        ([LAPTOP], Resources(), 4),
        ([LAPTOP], Resources(workers=2), 2),
        ([LAPTOP], Resources(workers=3), 1),
        ([LAPTOP], Resources(workers=5), 0),
        ([LAPTOP], Resources(cpus_per_worker=3), 1),
        ([LAPTOP, LAPTOP], Resources(cpus_per_worker=3), 2),
        ([LAPTOP, LAPTOP], Resources(cpus_per_worker=5), 0),  # a worker is on one node
        ([LAPTOP, LAPTOP], Resources(workers=8), 1),  # a lane may be on several
        ([LAPTOP], Resources(cpus_per_worker=0.1), 40),
        ([LAPTOP], Resources(gpus_per_worker=1), 0),
        ([GPU_NODE], Resources(), 2),  # a GPU each where there are GPUs
        ([LAPTOP, GPU_NODE], Resources(), 2),
        ([LAPTOP, GPU_NODE], Resources(gpus_per_worker=0), 12),
        ([GPU_NODE], Resources(gpus_per_worker=0.5), 4),
        ([GPU_NODE], Resources(gpus_per_worker=0.1), 8),  # its CPUs are the limit
    ],
)
def test_how_many_lanes_fit(there, asked, lanes):
    assert _fitting(there, asked) == lanes


def test_what_is_not_asked_for_is_chosen(nodes):
    nodes += [GPU_NODE]
    assert crews(Resources(), trials=10) == Crews(
        lanes=2, workers=1, cpus_per_worker=1.0, gpus_per_worker=1.0
    )
    assert crews(Resources(), trials=1).lanes == 1, "no more than there are trials"
    assert crews(Resources(lanes=2), trials=1).lanes == 2, "unless they are asked for"
    asked = Resources(workers=2, cpus_per_worker=2, gpus_per_worker=0)
    assert crews(asked, trials=10) == Crews(
        lanes=2, workers=2, cpus_per_worker=2, gpus_per_worker=0
    )


def test_a_refusal_says_what_was_asked_and_what_there_is(nodes):
    nodes += [LAPTOP, LAPTOP]
    with pytest.raises(ResourceError, match="--wait-for-resources") as caught:
        crews(Resources(lanes=3, workers=4), trials=10)
    (said,) = caught.value.mistakes
    assert "3 lane(s) of 4 worker(s) with 1 CPU and 0 GPU each do not fit" in said
    assert "there are 2 node(s) with 8 CPUs and 0 GPUs in all" in said


def test_nodes_that_come_in_time_are_waited_for(nodes, monkeypatch):
    monkeypatch.setattr(cluster.time, "sleep", lambda _seconds: nodes.append(LAPTOP))
    assert crews(Resources(lanes=8, wait_for_resources=60), trials=10).lanes == 8
    assert len(nodes) == 2


def test_this_machine_is_looked_at_before_ray_is_started():
    here = len(os.sched_getaffinity(0))
    precheck(Resources(cpus_per_worker=here, gpus_per_worker=0))
    with pytest.raises(ResourceError):
        precheck(Resources(cpus_per_worker=here + 1, gpus_per_worker=0))


def test_the_arguments_are_those_of_a_crew():
    asked = Crews(lanes=2, workers=3, cpus_per_worker=1.5, gpus_per_worker=0.5)
    assert asked.arguments(Path("/home/s/ray")) == {
        "workers": 3,
        "cpus_per_worker": 1.5,
        "gpus_per_worker": 0.5,
        "storage": "/home/s/ray",
    }


def test_the_cluster_to_join(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "_HEAD_ADDRESS", tmp_path / "head")
    assert address_of(None) is None
    (tmp_path / "head").write_text("10.0.0.3:6379\n")
    assert address_of(None) == "10.0.0.3:6379", "the head that this machine is"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert address_of(None) == "10.0.0.2:6379"
    assert address_of("10.0.0.1:6379") == "10.0.0.1:6379"
