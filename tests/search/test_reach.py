"""A Ray that does not answer is noticed, told once, and ends the process with 5."""

import socket
import time
from types import SimpleNamespace

import pytest

from search import cluster, reach
from trainables.errors import ResourceError


@pytest.fixture
def listening():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def dead():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def ended(monkeypatch):
    """The codes with which the process would have ended."""
    codes: list[int] = []
    monkeypatch.setattr(reach.os, "_exit", codes.append)
    monkeypatch.setattr(reach, "_LOOK_SECONDS", 0.01)
    return codes


def test_who_answers(listening, dead):
    assert reach.answers(listening)
    assert reach.answers(f"ray://{listening}")
    assert not reach.answers(dead)
    assert not reach.answers(f"ray://{dead}")
    assert reach.answers("auto"), "Ray knows what that is"


def test_a_dead_cluster_is_refused_with_where_its_address_is_from(monkeypatch, tmp_path, dead):
    file = tmp_path / "ray_current_cluster"
    monkeypatch.setattr(cluster, "_HEAD_ADDRESS", file)
    file.write_text(dead)
    start = time.monotonic()
    with pytest.raises(ResourceError, match=rf"{dead}, which {file} names; .*remove the file"):
        cluster.refuse_dead(None)
    monkeypatch.setenv("RAY_ADDRESS", dead)
    with pytest.raises(ResourceError, match="RAY_ADDRESS names"):
        cluster.refuse_dead(None)
    with pytest.raises(ResourceError, match=f"no Ray answers at {dead}; is the cluster up"):
        cluster.refuse_dead(dead)
    assert time.monotonic() - start < 20


def test_a_living_cluster_is_not_refused(listening):
    cluster.refuse_dead(listening)


def node(answering, processes=(), dead=()):
    host, _, port = answering.rpartition(":")
    return SimpleNamespace(
        all_processes=dict.fromkeys(processes),
        dead_processes=lambda: [(kind, None) for kind in dead],
        gcs_address=answering,
        node_ip_address=host,
        node_manager_port=int(port),
    )


PARTS = ("gcs_server", "raylet", "log_monitor")


def test_what_is_missing(listening, dead):
    assert reach.missing(node(listening, PARTS)) == ""
    assert reach.missing(node(listening, PARTS, ["log_monitor"])) == "", "nobody needs it"
    assert reach.missing(node(listening, PARTS, ["raylet"])) == "raylet of Ray ended"
    assert reach.missing(node(listening)) == ""
    assert f"the head at {dead}" in reach.missing(node(dead))


@pytest.mark.parametrize("part", ["gcs_server", "raylet"])
def test_a_process_that_ended_is_told_and_ends_us(listening, ended, part):
    told, left = [], []
    with reach.watched(node(listening, PARTS, [part]), told.append, lambda: left.append(1)):
        for _ in range(500):
            if ended:
                break
            time.sleep(0.01)
    assert told[0] == f"{part} of Ray ended"
    assert left
    assert ended[0] == 5


def test_a_head_that_comes_back_in_time_ends_nothing(monkeypatch, listening, ended):
    answers = iter(["away", "away", ""])
    monkeypatch.setattr(reach, "missing", lambda _node: next(answers, ""))
    with reach.watched(node(listening), pytest.fail, pytest.fail):
        time.sleep(0.3)
    assert not ended


def test_a_head_that_stays_away_is_told_once_and_ends_us(monkeypatch, listening, ended):
    monkeypatch.setattr(reach, "missing", lambda _node: "away")
    told: list[str] = []
    with reach.watched(node(listening), told.append, lambda: None):
        for _ in range(500):
            if ended:
                break
            time.sleep(0.01)
    assert told == ["away"]
    assert ended == [5]


def test_joining_that_takes_too_long(monkeypatch, ended):
    monkeypatch.setattr(reach, "SLOW_SECONDS", 0.01)
    monkeypatch.setattr(reach, "LATE_SECONDS", 0.1)
    told: list[str] = []
    with reach.limited(lambda: told.append("late")):
        time.sleep(0.5)
    assert (told, ended) == (["late"], [5])
    with reach.limited(lambda: told.append("late")):
        pass
    time.sleep(0.2)
    assert (told, ended) == (["late"], [5])
