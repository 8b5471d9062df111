"""What the figures draw, and what tells its series apart."""

from reports import figures
from spaces.space import Point
from trainables.metrics import EFFICIENCY


def _traces(figure):
    return figure.to_dict()["data"]


def _front(trials, metric):
    traces = _traces(figures.accuracy_against(EFFICIENCY[metric], trials))
    return next(trace for trace in traces if trace["name"].startswith("Pareto"))


def test_figures_tell_states_apart_by_marker(tables):
    trials, curves = (table.to_pylist() for table in tables)
    traces = _traces(figures.learning_curves(trials, curves))
    ends = [trace["marker"]["symbol"] for trace in traces if trace["mode"] == "markers"]
    assert len(ends) == len(set(ends)) == 4
    lines = [trace for trace in traces if trace["mode"] == "lines"]
    assert [trace["name"] for trace in lines[1:3]] == ["#1 t-best", "#2 t-slow"]
    assert len({trace["line"].get("dash") for trace in lines}) == len(lines)


def test_the_front_is_of_complete_trials(tables):
    trials = tables[0].to_pylist()
    line = _front(trials, "throughput_images_per_s")
    assert list(line["x"]) == [1500.0, 4000.0]
    assert list(line["text"]) == ["#1", "#3"]
    assert list(_front(trials, "gflops")["text"]) == ["#3", "#1"]
    begun = [trial for trial in trials if trial["state"] != "complete"]
    traces = _traces(figures.accuracy_against(EFFICIENCY["gflops"], begun))
    assert [trace["name"] for trace in traces] == ["stopped", "failed", "running"]


def test_published_rows_are_a_series_only_where_they_have_both_numbers():
    points = [
        Point("a", "x#a", {"dim": 64}, {"valid_top1": 0.8, "params": 1000.0, "gflops": 0.5}),
        Point("b", "x#b", {"dim": 128}, {"params": 2000.0}),
    ]

    def drawn(metric):
        traces = _traces(figures.accuracy_against(EFFICIENCY[metric], [], points))
        return [list(trace["x"]) for trace in traces if trace["name"].startswith("published")]

    assert drawn("params") == [[1000.0]]
    assert drawn("gflops") == [[0.5]]
    assert drawn("throughput_images_per_s") == []


def test_epochs_are_ticked_whole_and_a_single_one_is_no_line(tables):
    trials, curves = (table.to_pylist() for table in tables)
    first = [row for row in curves if row["epoch"] == 1]
    for rows, epochs in ((curves, 3), (first, 1)):
        axis = figures.learning_curves(trials, rows).to_dict()["layout"]["xaxis"]
        assert (axis["tick0"], axis["dtick"]) == (0, 1), epochs
    names = [trace["name"] for trace in _traces(figures.learning_curves(trials, first))]
    assert "other trials" not in names
    assert "other trials" in [
        trace["name"] for trace in _traces(figures.learning_curves(trials, curves))
    ]
    assert {"last epoch, stopped", "last epoch, failed"} <= set(names)


def test_long_curves_have_few_ticks(tables):
    trials, curves = (table.to_pylist() for table in tables)
    late = [{**row, "epoch": row["epoch"] * 40} for row in curves]
    assert figures.learning_curves(trials, late).to_dict()["layout"]["xaxis"]["dtick"] == 10
