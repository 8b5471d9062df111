"""The sections of a report that compare accuracy with cost, and published rows with our trials.

Rows are those of `reports.collect`; published rows are the points of the sweep's space.
"""

from collections.abc import Sequence
from html import escape

from reports import figures
from reports.collect import Sweep
from reports.mlflow_contract import YES, Tag
from reports.pareto import ranking
from reports.writing import Row, number, table
from spaces.space import Point
from trainables.metrics import EFFICIENCY, Metric

_THEIRS = {
    "valid_top1": "validation (%)",
    "test_top1": "test (%)",
    "params": "parameters",
    "gflops": "GFLOPs",
}
_OURS = {
    "best_valid_top1": "our validation (%)",
    "test_top1": "our test (%)",
    "params": "our parameters",
    "gflops": "our GFLOPs",
}
_NO_COSTS = (
    "GFLOPs were not published: those of the published rows are counted by us. Nor were "
    "throughput, latency or memory, which stay unknown."
)
_OTHER_MACHINE = (
    "Throughput and memory were published for another machine and are not set beside ours."
)


def accuracy_against_cost(trials: Sequence[Row], published: Sequence[Point]) -> str:
    """One figure per cost of `figures.AXES`, each with a note on what it leaves out and why."""
    parts = [
        "<h2>Accuracy against cost</h2><p>The numbers on the front are the ranks above. Only "
        "complete trials make the front: no other was trained to its end.</p>"
    ]
    for cost in (EFFICIENCY[name] for name in figures.AXES):
        figure = figures.accuracy_against(cost, trials, published)
        parts.append(figures.drawing(figure, f"No trial has both an accuracy and {cost.name}."))
        notes = [*_absences(cost, trials), *_published_beside(cost, published)]
        if cost.name == "throughput_images_per_s":
            notes += disturbances([trial for trial in trials if figures.is_drawn(trial, cost)])
        parts.append(f'<p class="quiet">{escape(" ".join(notes))}</p>' if notes else "")
    return "".join(parts)


def _absences(cost: Metric, trials: Sequence[Row]) -> list[str]:
    absent = sum(not figures.is_drawn(trial, cost) for trial in trials)
    return [f"Trials without both numbers, not drawn: {absent} of {len(trials)}."] if absent else []


def _published_beside(cost: Metric, published: Sequence[Point]) -> list[str]:
    notes: list[str] = []
    beside = sum(figures.has_results(point, cost) for point in published)
    if beside:
        first, gflops = published[0], cost.name == "gflops"
        notes.append(
            f"Published rows in the figure: {beside}; "
            + ("GFLOPs counted by us; " if gflops and not first.gflops_published else "")
            + f"accuracy as published ({first.data}, {first.image_size} px). They were trained on "
            "other images, so their accuracy does not compare with that of the trials"
            + (", nor their GFLOPs with those at another image size." if gflops else ".")
        )
    if absent := len(published) - beside:
        notes.append(
            f"Published rows that are only listed below: {absent}. Their accuracy or "
            f"{figures.AXES[cost.name]} was not published."
        )
    return notes


def disturbances(measured: Sequence[Row]) -> list[str]:
    """What makes the times of trials hard to compare, one sentence per cause."""
    notes: list[str] = []
    if len({trial[Tag.EFFICIENCY_DEVICE] for trial in measured}) > 1:
        notes.append("Times were measured on different devices (see Conditions).")
    if loaded := sum(trial[Tag.EFFICIENCY_OTHER_LOAD] == YES for trial in measured):
        notes.append(
            f"Other programs used the machine while the times of {loaded} of {len(measured)} "
            "trials were measured; measured alone, they may differ much."
        )
    return notes


def published_rows(sweep: Sweep, trials: Sequence[Row], published: Sequence[Point]) -> str:
    """The published rows that were tried, each beside its trial; then all published rows."""
    if not published:
        none = f"No published rows of {escape(sweep.variant)} are known here."
        return f"<h2>Published rows</h2><p>{none}</p>"
    ours: dict[str, Row] = {}
    for trial in (*ranking(trials), *trials):
        ours.setdefault(trial["published"], trial)
    tried = [
        [*_theirs(point), trial["trial_key"], trial["state"]]
        + [number(trial[name], name) for name in _OURS]
        for point in published
        if (trial := ours.get(point.address))
    ]
    names = list(dict.fromkeys(name for point in published for name in point.params))
    every = [[*_theirs(p), *(number(p.params.get(name)) for name in names)] for p in published]
    notes = [[point.address, point.note] for point in published if point.note]
    head = ["published row", *_THEIRS.values()]
    first = published[0]
    costs = _OTHER_MACHINE if first.gflops_published else _NO_COSTS
    return (
        f"<h2>Published rows beside ours</h2><p>Published: {first.data} at {first.image_size} px; "
        f"ours: {escape(sweep.images)}. Accuracies, parameters and GFLOPs therefore differ by the "
        f"data and the image size too. {costs}</p>"
        + table(
            [*head, "our trial", "state", *_OURS.values()],
            tried,
            "No trial of this sweep was taken from a published row.",
        )
        + f"<details><summary>All published rows: {len(published)}</summary>"
        + table([*head, *names], every)
        + table(["published row", "corrected"], notes)
        + "</details>"
    )


def _theirs(point: Point) -> list[str]:
    return [point.address, *(number(point.results.get(name), name) for name in _THEIRS)]
