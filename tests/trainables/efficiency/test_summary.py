"""What a row of measurements says of several answers."""

import json
from statistics import fmean, stdev

import pytest

from tests.trainables.efficiency_answer import answer
from trainables.efficiency.summary import summarise
from trainables.efficiency.table import arrow, unit
from trainables.metrics import EFFICIENCY


def test_a_number_has_median_ends_and_spread():
    durations = (2.0, 9.0, 4.0)
    row = summarise([answer(duration) for duration in durations])
    assert [row[f"latency_ms{end}"] for end in ("", "_least", "_most")] == [4.0, 2.0, 9.0]
    assert row["latency_ms_spread"] == pytest.approx(stdev(durations) / fmean(durations))
    assert (row["repeats"], row["failures"]) == (3, 0)
    assert (row["params"], row["params_spread"]) == (100, 0)
    assert row["device_memory_bytes"] == 2**30
    assert row["other_busy_cores_spread"] is None


def test_the_median_of_batch_sizes_is_one_that_was_tried():
    row = summarise([answer(throughput_batch_size=8), answer(throughput_batch_size=32)])
    assert row["throughput_batch_size"] == 8


def test_one_repeat_has_no_spread():
    row = summarise([answer()])
    assert (row["latency_ms_least"], row["latency_ms_spread"]) == (2.0, None)


def test_what_is_no_number_is_kept_too():
    first, second = answer(), answer(repeats={"latency_ms": 5}) | {"other_load": True}
    row = summarise([first, second])
    assert row["other_load"] is True
    assert row["by_operator"] == {"matmul": 5.0}
    assert row["passes"] == {"latency_ms": 5.0}
    assert row["throughput_stopped_by"].startswith("the largest")
    assert json.loads(row["device_load_average"]) == [0.5, 0.25]
    assert [(t["repeat"], t["batch_size"], t["passes"]) for t in row["throughputs"]] == [
        (1, 1, 7),
        (1, 2, 9),
        (2, 1, 7),
        (2, 2, 9),
    ]


def test_an_empty_number_has_its_reason_and_how_often_it_was_so():
    row = summarise([answer(), answer(training_peak_memory_bytes=5, reasons={})])
    assert row["training_peak_memory_bytes"] == 5
    assert row["reasons"] == {"training_peak_memory_bytes": "out of memory (1 of 2 repeats)"}


def test_a_failed_model_is_a_row_without_numbers():
    row = summarise([{"error": "ValueError: patch=9"}])
    assert row["reasons"] == {"everything": "ValueError: patch=9"}
    assert (row["repeats"], row["failures"]) == (0, 1)
    assert {row[name] for name in EFFICIENCY} == {None}


def test_failures_beside_repeats_are_told():
    row = summarise([answer(reasons={}), {"error": "killed"}])
    assert row["latency_ms"] == 2.0
    assert row["reasons"] == {"everything": "killed (1 of 2 repeats)"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gflops", "1e9"),
        ("latency_p99_ms", "ms"),
        ("device_memory_bytes", "bytes"),
        ("throughput_batch_size", "images"),
        ("energy_joules", "J"),
        ("clock_hz", "Hz"),
        ("peak_flops_per_s", "FLOP/s"),
        ("repeat", "1"),
        ("items", "1"),
    ],
)
def test_units_follow_from_names(name, expected):
    assert unit(name) == expected


def test_what_changes_its_kind_becomes_text():
    table = arrow([summarise([answer() | {"seconds": value}]) for value in (3.0, "three")])
    assert table["seconds"].to_pylist() == ["3.0", "three"]
