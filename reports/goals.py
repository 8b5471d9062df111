"""The parts of a report on several objectives, and on trials with several seeds."""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, cast

from reports.mlflow_contract import YES, Tag
from reports.pareto import Direction, front
from reports.writing import Row, hyperparameters, number, settings, table, varying
from trainables.metrics import CATALOGUE

_ACCURACY = "valid_top1"


def objectives_of(tags: Mapping[str, str]) -> list[str]:
    """The objectives in the plan of a sweep, by its tags; none of a plan that cannot be read."""
    try:
        plan: Any = json.loads(tags.get(Tag.PLAN, ""))
    except ValueError:
        return []
    found: Any = cast(dict[str, Any], plan).get("objectives", []) if isinstance(plan, dict) else []
    return [name for name in found if name in CATALOGUE]


def objectives_front(trials: Sequence[Row], objectives: Sequence[str]) -> str:
    """The complete trials that none beats in all objectives; nothing for a single one."""
    if len(objectives) < 2:
        return ""
    ways: list[Direction] = [
        "max" if CATALOGUE[name].better == "max" else "min" for name in objectives
    ]
    complete = [t for t in trials if t["state"] == "complete" and not t.get(Tag.REPEAT_OF)]
    columns = ["best_valid_top1" if name == _ACCURACY else name for name in objectives]
    points = [[trial.get(column) for column in columns] for trial in complete]
    best = sorted(front(points, ways), key=lambda index: cast(float, points[index][0]))
    names = varying(trials)
    rows = [
        [
            complete[i]["trial_key"],
            *(number(value, column) for value, column in zip(points[i], columns, strict=True)),
            settings(hyperparameters(complete[i], names)),
        ]
        for i in best
    ]
    head = ["trial", *(f"{n} ({CATALOGUE[n].unit})" for n in objectives), "hyperparameters"]
    words = ", ".join(f"{n} ({way})" for n, way in zip(objectives, ways, strict=True))
    return (
        f"<h2>Front of the objectives</h2><p>Complete trials that no other beats in all of "
        f"{words}.</p>{table(head, rows, 'No complete trial has all of them.')}"
    )


def seeds(trials: Sequence[Row]) -> str:
    """What configurations reached with several seeds, the best mean first; nothing without any."""
    groups: dict[str, list[float]] = {}
    by_key = {trial["trial_key"]: trial for trial in trials}
    for trial in trials:
        value, original = trial["best_valid_top1"], trial.get(Tag.REPEAT_OF)
        if original and original in by_key and trial["state"] == "complete" and value is not None:
            groups.setdefault(original, [by_key[original]["best_valid_top1"]]).append(value)
    if not groups:
        return ""
    rows = [
        [
            key,
            str(len(values)),
            number(fmean(values), "best_valid_top1"),
            number(stdev(values), "best_valid_top1"),
            "tie" if by_key[key].get(Tag.TIE) == YES else "",
        ]
        for key, values in sorted(groups.items(), key=lambda group: -fmean(group[1]))
    ]
    head = ["trial", "seeds", "mean (%)", "standard deviation (%)", "with the best"]
    return (
        f"<h2>With several seeds</h2>{table(head, rows)}"
        '<p class="quiet">Validation top-1 of the best epoch. A tie differs from the best by less '
        "than seeds make equal configurations differ in 19 of 20 cases (Student's t, with the "
        "variance that all of these have together).</p>"
    )
