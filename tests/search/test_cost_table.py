"""What a person sees of measurements."""

import re

import pytest
from rich.console import Console

from search.cost_table import quantity, shown
from tests.trainables.efficiency_answer import answer
from trainables.efficiency.summary import summarise
from trainables.metrics import EFFICIENCY


def row(answers, label="ViT", mode="eager", precision="fp32", training_precision="fp32"):
    setting = {"mode": mode, "precision": precision, "training_precision": training_precision}
    return summarise(answers) | setting | {"label": label, "image_size": 224}


def text(rows, width=120):
    console = Console(width=width)
    with console.capture() as captured:
        console.print(shown(rows, width))
    return captured.get()


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (5_717_416, "1", "5.72 M"),
        (0.25, "1", "0.25"),
        (100, "1", "100"),
        (1.2583, "1e9", "1.26 G"),
        (0.0001, "1e9", "0.0001 G"),
        (12.345, "ms", "12.3 ms"),
        (0.0123, "ms", "12.3 µs"),
        (999.96, "ms", "1 s"),
        (0, "ms", "0 s"),
        (3 * 2**29, "bytes", "1.5 GiB"),
        (1023, "bytes", "1023 B"),
        (12345.6, "images/s", "12,300 images/s"),
        (64, "images", "64 images"),
        (0.0042, "J", "4.2 mJ"),
        (9.89e14, "FLOP/s", "989 TFLOP/s"),
        (0.423, "fraction", "42.3 %"),
        (float("inf"), "ms", "inf"),
    ],
)
def test_quantities_are_short_and_have_a_unit(value, unit, expected):
    assert quantity(value, unit) == expected


def test_a_cell_is_a_median_with_its_spread():
    lines = text([row([answer(1.0), answer(3.0)])]).splitlines()
    (latency,) = (line for line in lines if line.startswith("latency_ms"))
    assert "2 ms ± 71 %" in latency
    (params,) = (line for line in lines if line.startswith("params"))
    assert "±" not in params
    assert "± 114 %" in text([row([answer(1.0), answer(9.5)])])
    assert {line.split()[0] for line in lines if line.strip()} >= set(EFFICIENCY)


def test_an_empty_cell_leads_to_its_reason():
    shown_text = text([row([answer()]), row([{"error": "[it] does not run"}], "broken")])
    full, broken = (
        re.findall(rf"^(\[\d\]) {re.escape(why)}$", shown_text, re.MULTILINE)[0]
        for why in ("out of memory", "[it] does not run")
    )
    assert f"broken {broken}" in shown_text
    (line,) = (li for li in shown_text.splitlines() if li.startswith("training_peak_memory_bytes"))
    assert line.split()[1:] == [full, broken]


def test_a_disturbed_measurement_says_so():
    assert "other programs used the machine" in text([row([answer() | {"other_load": True}])])


def test_settings_stand_side_by_side_as_far_as_there_is_room():
    rows = [row([answer()], mode="compile"), row([answer()], training_precision="fp16")]
    wide, narrow = text(rows, 140), text(rows, 60)
    assert wide.count("median ± spread") == 1
    assert narrow.count("median ± spread") == 2
    assert "WTTF protocol:" in wide
    assert "compile, fp32" in wide
