"""Numbers in the unit of their column, JSON in lines, tables escaped."""

import pytest

from reports.writing import lines, number, table


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (None, "params", "–"),
        (1554408.0, "params", "1,554,408"),
        (0.97222, "test_top1", "97.22"),
        (3 * 2.0**20, "training_peak_memory_bytes", "3"),
        (999.6, "latency_ms", "1,000"),
        (0.12345, "gflops", "0.123"),
        (0.0003, "", "0.0003"),
        (True, "", "True"),
        (512, "", "512"),
    ],
)
def test_numbers_are_written_in_the_unit_of_their_column(value, metric, text):
    assert number(value, metric) == text


def test_json_is_written_a_line_an_entry():
    text = '{"epochs": 3, "versions": {"torch": "2.14", "gpus": []}, "limit": null, "ok": false}'
    assert lines(text).split("\n") == [
        "epochs: 3",
        "versions: torch 2.14, gpus none",
        "limit: none",
        "ok: False",
    ]
    assert lines("3 trials {") == "3 trials {"
    assert lines("[1, 2]") == "[1, 2]"


def test_a_table_is_escaped_and_its_columns_are_classed():
    html = table(["rank", "trial", "why"], [["#1", "t-a", "<b>" + "x" * 40], ["#2", "t-b", "–"]])
    assert "<b>" not in html
    assert '<td class="number">#1</td><td class="word">t-a</td><td class="sentence">&lt;b' in html
    assert table(["rank"], [], "None & none.") == "<p>None &amp; none.</p>"
