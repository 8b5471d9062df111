"""Several objectives, and several seeds, in a report."""

import json

from reports.goals import objectives_front, objectives_of, seeds


def row(key, accuracy, latency_ms=None, **more):
    return {
        "trial_key": key,
        "state": "complete",
        "best_valid_top1": accuracy,
        "latency_ms": latency_ms,
        "param.depth": int(key[-1]),
        **more,
    }


def test_objectives_are_those_of_the_plan():
    plan = {"objectives": ["valid_top1", "latency_ms", "nonsense"]}
    assert objectives_of({"plan": json.dumps(plan)}) == ["valid_top1", "latency_ms"]
    for text in ("", "{", "[1]", '{"trials": 8}'):
        assert objectives_of({"plan": text}) == []


def test_the_front_has_what_none_beats():
    trials = [row("t1", 0.9, 30.0), row("t2", 0.7, 10.0), row("t3", 0.8, 40.0), row("t4", 0.95)]
    trials.append(row("t5", 0.99, 1.0, state="stopped"))
    trials.append(row("t6", 0.99, 1.0, repeat_of="t1"))
    html = objectives_front(trials, ["valid_top1", "latency_ms"])
    assert [key for key in ("t1", "t2", "t3", "t4", "t5", "t6") if f">{key}<" in html] == [
        "t1",
        "t2",
    ]
    assert "valid_top1 (max), latency_ms (min)" in html
    assert objectives_front(trials, ["valid_top1"]) == ""


def test_seeds_have_mean_and_deviation():
    trials = [row("t1", 0.90, tie="true"), row("t2", 0.80), row("t3", 0.7)]
    trials += [row("t4", 0.92, repeat_of="t1"), row("t5", 0.84, repeat_of="t2")]
    trials += [row("t6", None, repeat_of="t2"), row("t7", 0.1, repeat_of="t2", state="failed")]
    html = seeds(trials)
    first, second = html.index(">t1<"), html.index(">t2<")
    assert first < second
    assert ">91.00<" in html
    assert ">1.41<" in html
    assert ">82.00<" in html
    assert html.count(">tie<") == 1
    assert ">t3<" not in html
    assert seeds(trials[:3]) == ""
