"""The figures of a report. Rows are those of `reports.collect`.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; the marker tells
the state too, and the dashes tell the emphasised curves apart.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from plotly.graph_objects import Figure

from reports.pareto import front, is_finite, ranking
from reports.writing import Row, hyperparameters, settings, varying
from spaces.space import Point
from trainables.metrics import Metric

AXES = {
    "throughput_images_per_s": "inference throughput (images/s)",
    "gflops": "forward pass of one image (GFLOPs)",
    "params": "trainable parameters",
}
STATES = {
    "complete": ("circle", "#0072B2"),
    "stopped": ("x", "#E69F00"),
    "paused": ("cross", "#56B4E9"),
    "failed": ("triangle-down", "#D55E00"),
    "infeasible": ("square", "#000000"),
    "running": ("diamond", "#009E73"),
}
_OTHER_STATE = ("star", "#CC79A7")
_EMPHASIS = (
    ("#0072B2", "solid"),
    ("#D55E00", "dash"),
    ("#009E73", "dashdot"),
    ("#CC79A7", "longdash"),
    ("#000000", "dot"),
)
_FAINT = "#C4C8CE"
_GREY = "#5F6670"
_GRID = "#E6E8EB"


def learning_curves(trials: Sequence[Row], curves: Sequence[Row]) -> Figure:
    """Validation accuracy over the epochs, one line per trial; the best five stand out."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in curves:
        if is_finite(row["valid_top1"]):
            lines.setdefault(row["run_id"], []).append((row["epoch"], row["valid_top1"]))
    begun = [trial for trial in trials if trial["run_id"] in lines]
    ranked = enumerate(ranking(trials), 1)
    best = [(rank, trial) for rank, trial in ranked if trial["run_id"] in lines][: len(_EMPHASIS)]
    figure = _figure("Validation accuracy by epoch (top-1, %)", "epoch")
    # One trace for all others: None ends one line and begins the next. One epoch makes no line.
    standing_out = {trial["run_id"] for _, trial in best}
    others = [line for run_id, line in lines.items() if run_id not in standing_out]
    faint = [point for line in others if len(line) > 1 for point in (*line, (None, None))]
    if faint:
        _add_line(figure, faint, {"color": _FAINT, "width": 1}, "other trials")
    for (rank, trial), (colour, dash) in zip(best, _EMPHASIS, strict=False):
        style = {"color": colour, "width": 2.5, "dash": dash}
        _add_line(figure, lines[trial["run_id"]], style, f"#{rank} {escape(trial['trial_key'])}")
    _add_states(figure, begun, lambda trial: lines[trial["run_id"]][-1], "last epoch, ")
    longest = max((line[-1][0] for line in lines.values()), default=1)
    figure.update_xaxes(dtick=math.ceil(longest / 12), tick0=0)  # whole epochs only
    return figure


def accuracy_against(
    cost: Metric, trials: Sequence[Row], published: Sequence[Point] = ()
) -> Figure:
    """Validation accuracy against what a model costs, with the Pareto front.

    The front is that of the complete trials, since no other was trained to its end; it is labelled
    with their ranks.

    Args:
        cost: a metric of `AXES`.
        trials: rows of trials; those that lack either number are left out.
        published: rows that are drawn as a series of their own, where they have both numbers.
    """
    figure = _figure(f"Validation accuracy (top-1, %) against {AXES[cost.name]}", AXES[cost.name])
    drawn = [trial for trial in trials if is_drawn(trial, cost)]
    beside = [point for point in published if has_results(point, cost)]
    _add_states(figure, drawn, lambda trial: (trial[cost.name], trial["best_valid_top1"]))
    if beside:
        figure.add_scatter(
            x=[point.results[cost.name] for point in beside],
            y=[point.results["valid_top1"] for point in beside],
            name=f"published: {beside[0].data}, {beside[0].image_size} px",
            **_marks("diamond-open", _GREY, [_hover(row.run_id, row.params) for row in beside]),
        )
    _add_front(figure, cost, trials)
    values = [trial[cost.name] for trial in drawn] + [row.results[cost.name] for row in beside]
    if values and min(values) > 0 and max(values) > 20 * min(values):
        _make_logarithmic(figure, min(values), max(values))
    return figure


def drawing(figure: Figure, empty: str) -> str:
    """A figure as HTML for a page that has plotly.js; the sentence `empty` if nothing is drawn."""
    if not figure.data:
        return f"<p>{escape(empty)}</p>"
    buttons = ["toImage", "zoom2d", "pan2d", "resetScale2d"]
    # One of plotly's own buttons sends the figure's data to plotly's makers.
    config = {"modeBarButtons": [buttons], "displaylogo": False, "responsive": True}
    return figure.to_html(config=config, include_plotlyjs=False, full_html=False)


def is_drawn(trial: Row, cost: Metric) -> bool:
    """Whether a trial has both coordinates of `accuracy_against`."""
    return is_finite(trial["best_valid_top1"]) and is_finite(trial[cost.name])


def has_results(point: Point, cost: Metric) -> bool:
    """Whether a published row has both coordinates of `accuracy_against`."""
    return is_finite(point.results.get("valid_top1")) and is_finite(point.results.get(cost.name))


def ordered(states: Iterable[str]) -> list[str]:
    """Each state once, in the order of `STATES`, unknown ones last."""
    known = list(STATES)
    return sorted(
        set(states), key=lambda state: (known.index(state) if state in STATES else 99, state)
    )


def _hover(key: str, params: Mapping[str, Any]) -> str:
    return f"{escape(key)}<br>{escape(settings(params))}"


def _marks(symbol: str, colour: str, texts: Sequence[str]) -> dict[str, Any]:
    return {
        "mode": "markers",
        "marker": {"symbol": symbol, "color": colour, "size": 9},
        "text": texts,
        "hovertemplate": "%{y:.2%} at %{x:,.4~g}<br>%{text}<extra></extra>",
    }


def _add_states(
    figure: Figure,
    trials: Sequence[Row],
    place: Callable[[Row], tuple[float, float]],
    prefix: str = "",
) -> None:
    names = varying(trials)
    for state in ordered(trial["state"] for trial in trials):
        members = [trial for trial in trials if trial["state"] == state]
        if members:
            texts = [
                _hover(f"{trial['trial_key']} ({state})", hyperparameters(trial, names))
                for trial in members
            ]
            places = [place(trial) for trial in members]
            figure.add_scatter(
                x=[x for x, _ in places],
                y=[y for _, y in places],
                name=escape(prefix + state),
                **_marks(*STATES.get(state, _OTHER_STATE), texts),
            )


def _add_line(
    figure: Figure, points: Sequence[tuple[Any, Any]], style: Mapping[str, Any], name: str
) -> None:
    figure.add_scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="lines",
        line=style,
        name=name,
        hovertemplate="%{y:.2%} at epoch %{x}",
    )


def _add_front(figure: Figure, cost: Metric, trials: Sequence[Row]) -> None:
    complete = [trial for trial in ranking(trials) if trial["state"] == "complete"]
    places = [
        (trial[cost.name] if is_drawn(trial, cost) else None, trial["best_valid_top1"])
        for trial in complete
    ]
    better = "max" if cost.better == "max" else "min"
    members = sorted(front(places, (better, "max")), key=lambda index: places[index])
    if members:
        figure.add_scatter(
            x=[places[index][0] for index in members],
            y=[places[index][1] for index in members],
            mode="lines+markers+text",
            # At a cost between two members, the accuracy of the cheaper one is what can be had.
            line={"color": "#0072B2", "width": 1.5, "shape": "hv" if better == "min" else "vh"},
            marker={"symbol": "circle-open", "color": "#0072B2", "size": 15},
            text=[f"#{index + 1}" for index in members],
            textposition="top center",
            name="Pareto front (complete)",
            hoverinfo="skip",
        )


def _make_logarithmic(figure: Figure, low: float, high: float) -> None:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high < 1000 * low else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    labels = [f"{tick:,.0f}" if tick >= 1 else f"{tick:.3g}" for tick in ticks]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=labels)


def _figure(title: str, x_title: str) -> Figure:
    figure = Figure()
    figure.update_layout(
        title={"text": title, "x": 0, "xref": "paper", "font": {"size": 15}},
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#1B1F24"},
        template="none",
        height=440,
        margin={"l": 70, "r": 20, "t": 50, "b": 60},
        legend={"font": {"size": 12}},
    )
    figure.update_xaxes(title=x_title, gridcolor=_GRID, linecolor=_GREY, zeroline=False)
    figure.update_yaxes(
        title="validation accuracy (%)", tickformat=".3~%", gridcolor=_GRID, zeroline=False
    )
    return figure
