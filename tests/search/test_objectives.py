"""Objectives and limits: names, directions, words."""

from search.objectives import (
    COUNTED,
    LEARNED,
    LIMITS,
    MEASURED,
    directions,
    limited,
    mistakes,
    ordered,
    shown,
)
from trainables.metrics import CATALOGUE


def test_each_metric_that_can_be_one_has_a_direction_and_one_kind():
    kinds = [*LEARNED, *COUNTED, *MEASURED]
    assert len(set(kinds)) == len(kinds)
    assert all(CATALOGUE[name].better in ("min", "max") for name in kinds)
    assert "valid_seconds" not in kinds, "the time of a validation is no quality"
    assert set(LIMITS.values()) <= {*COUNTED, *MEASURED}


def test_directions_are_those_of_the_catalogue():
    found = directions(("valid_top1", "valid_loss", "latency_ms", "throughput_images_per_s"))
    assert list(found.values()) == ["max", "min", "min", "max"]


def test_what_training_shows_comes_first():
    assert ordered(["latency_ms", "valid_top1", "params"]) == ("valid_top1", "latency_ms", "params")


def test_mistakes_are_all_told():
    wrong = mistakes(["valid_top", "latency_ms", "latency_ms"])
    assert "no objective 'valid_top'; did you mean 'valid_top" in wrong[0]
    assert wrong[1] == "--objective: latency_ms is given twice"
    (nothing_to_train,) = mistakes(["gflops", "params"])
    assert "gflops, params needs no training" in nothing_to_train
    assert mistakes(["valid_top1", "latency_ms"]) == []


def test_values_for_people():
    assert shown("valid_top1", 0.91234) == "91.23 %"
    assert shown("valid_top1", None) == "-"
    assert shown("valid_loss", 0.123456) == "0.1235"
    assert shown("latency_ms", 12.34) == "12.3 ms"
    assert shown("params", 5e6) == "5 M"


def test_limits_for_people():
    assert limited("gflops", 0.08) == "at most 0.08 GFLOPs"
    assert limited("latency_ms", 5.0) == "latency_ms at most 5 ms"
    assert (
        limited("throughput_images_per_s", 100) == "throughput_images_per_s at least 100 images/s"
    )
