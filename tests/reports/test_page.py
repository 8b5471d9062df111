"""The page says what happened, escapes what it is told and loads nothing."""

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

import spaces
from reports import collect
from reports.comparison import published_rows
from reports.page import page

EVIL = "<script>alert('x')</script>"  # stands in notes, reasons and commands of the store


class _Resources(HTMLParser):
    def __init__(self):
        super().__init__()
        self.loaded = []

    def handle_starttag(self, tag, attrs):
        self.loaded += [(tag, name, value) for name, value in attrs if name in {"src", "href"}]


@pytest.mark.slow
def test_the_page_loads_nothing(report):
    resources = _Resources()
    resources.feed(report.read_text("utf-8"))
    assert resources.loaded == []
    assert "default-src 'none'" in report.read_text("utf-8")


def test_no_button_sends_the_figures_away(body):
    assert body.count('"modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]]') == 4
    assert "cloud" not in body.lower()


def test_the_page_says_what_happened(body):
    assert "Trials: 4 complete, 1 stopped, 1 failed, 1 infeasible, 1 running." in body
    assert "The best complete trial, t-best, reaches 97.00\u00a0% validation accuracy" in body
    best = body[body.index("<h2>Best trials") : body.index("<h2>Learning")]
    ranked = [body.index(f">{key}</td>") for key in ("t-best", "t-slow", "t-fast", "t-bare")]
    assert ranked == sorted(ranked)
    assert "t-cut" not in best
    assert "12 GFLOPs are above the limit of 1" in body
    assert "no idle device (trials: 1)" in body
    assert "no GPU was used (trials: 1)" in body
    assert ">GPU-hours</th>" in best
    assert ">0.0625</td>" in best
    assert "Other programs used the machine while the times of 1 of 3 trials were measured;" in body
    assert "abc123 (trials: 8)" in body


def test_published_costs_are_said_to_be_counted_here(body):
    assert (
        "Published rows in the figure: 26; GFLOPs counted by us; accuracy as published (Galaxy Zoo "
        "2, 224 px)."
    ) in body
    assert "Published rows in the figure: 25; accuracy as published (Galaxy Zoo 2, 224 px)." in body
    assert body.count("Published rows that are only listed below") == 2
    assert "those of the published rows are counted by us" in body


def test_settings_have_a_table_of_their_own(body):
    best = body[body.index("<h2>Best trials") : body.index("<h2>Learning")]
    results, settings = best.split("</table>")[:2]
    assert "GFLOPs" in results
    assert "shared_kv" in settings
    assert "shared_kv" not in results


def test_a_disturbed_time_is_said_to_be_so_in_the_headline(client, tables):
    trials, curves = (table.to_pylist() for table in tables)
    sweep = collect.find(client, ["digits-first"])[0]
    note = "1,500 images/s (while other programs used the machine)."
    assert note not in page(sweep, trials, curves, ())
    loaded = [{**trial, "efficiency_other_load": "true"} for trial in trials]
    assert note in page(sweep, loaded, curves, ())


def test_a_sweep_that_tried_no_published_row_says_so(client, tables, body):
    said = "No trial of this sweep was taken from a published row."
    others = [{**trial, "published": None} for trial in tables[0].to_pylist()]
    sweep = collect.find(client, ["digits-first"])[0]
    assert said in page(sweep, others, [], spaces.load("linformer").published)
    assert said not in body


def test_the_published_row_stands_beside_our_trial(body):
    row = next(line for line in body.split("<tr>") if "#T12:010522B" in line)
    assert "81.32" in row
    assert "1,554,408" in row
    assert "t-fast" in row


def test_text_from_the_store_is_escaped(body):
    assert EVIL not in body
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in body
    assert body.count("alert(") >= 3


def test_published_rows_say_of_which_images_they_are(tables, body):
    trials = tables[0].to_pylist()
    sweep = collect.Sweep("s", "hydra", "r", "e", datetime.now(UTC), {}, {})
    text = published_rows(sweep, trials, spaces.load("hydra").published)
    assert "Published: ImageNet-1k at 224 px" in text
    assert "published for another machine" in text
    assert "counted by us" not in text
    assert "wttf_table6.csv#46" in text
    assert "Published: Galaxy Zoo 2 at 224 px" in body
