"""Sums up the answers of several fresh processes as one flat row.

A number of the answers fills four columns: `NAME`, its median (the lower one for whole numbers, so
that a batch size is one that was tried); `NAME_least` and `NAME_most`; and `NAME_spread`, the
standard deviation (n - 1) over the mean, which is empty below two repeats and for a mean of 0. The
members of `counts` and `measurements` keep their names; those of other groups get the group's name
as a prefix (`device_memory_bytes`).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, median, median_low, stdev
from typing import Any

from trainables.efficiency.throughput import Throughput
from trainables.metrics import EFFICIENCY

Answer = Mapping[str, Any]

STATISTICS = {
    "": "median of the repeats",
    "_least": "least of the repeats",
    "_most": "most of the repeats",
    "_spread": "standard deviation over mean of the repeats",
}
_UNGROUPED = ("counts", "measurements")
PASSES = "passes"  # the `repeats` in `measurements` are those within one process
TRIED = tuple(PASSES if name == "repeats" else name for name in Throughput._fields)


def summarise(answers: Sequence[Answer]) -> dict[str, Any]:
    """The row of several answers of `measure_fresh`.

    `repeats` counts the answers with numbers, and `failures` the others. `reasons` says for each
    empty number why it is empty, and for `everything` why a process failed. A truth value is true
    if it was in any repeat; a text is that of the first repeat. Dictionaries of numbers hold
    medians; whatever else is nested becomes JSON. `throughputs` are those of all repeats.
    """
    measured = [answer for answer in answers if "error" not in answer]
    row: dict[str, Any] = {"repeats": len(measured), "failures": len(answers) - len(measured)}
    found = [_flat(answer) for answer in measured]
    for name in dict.fromkeys((*EFFICIENCY, *(name for flat in found for name in flat))):
        values = [flat[name] for flat in found if flat.get(name) is not None]
        row |= _columns(name, values)
    return row | {"throughputs": _throughputs(measured), "reasons": _reasons(answers)}


def _flat(answer: Answer) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for group, content in answer.items():
        if not isinstance(content, Mapping):
            flat[group] = content
            continue
        prefix = "" if group in _UNGROUPED else f"{group}_"
        members = {name: value for name, value in content.items() if name != "reasons"}
        flat |= {f"{prefix}{name}": value for name, value in members.items()}
    flat[PASSES] = flat.pop("repeats", None)
    flat.pop("throughputs", None)
    return flat


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _columns(name: str, values: list[Any]) -> dict[str, Any]:
    """The columns for the repeats' `values` of one name; empty ones if there are no values."""
    if all(map(_is_number, values)):
        if not values:
            statistics = (None, None, None, None) if name in EFFICIENCY else (None,)
        else:
            statistics = (*(float(pick(values)) for pick in (_median, min, max)), _spread(values))
        return {name + end: value for end, value in zip(STATISTICS, statistics, strict=False)}
    first = values[0]
    if isinstance(first, bool):
        return {name: any(values)}
    if isinstance(first, str):
        return {name: first}
    if isinstance(first, Mapping) and all(_is_number(v) for each in values for v in each.values()):
        keys = dict.fromkeys(key for each in values for key in each)
        return {name: {k: float(_median([v[k] for v in values if k in v])) for k in keys}}
    return {name: json.dumps(first)}


def _median(values: Sequence[float]) -> float:
    whole = all(isinstance(value, int) for value in values)
    return median_low(values) if whole else median(values)


def _spread(values: Sequence[float]) -> float | None:
    mean = fmean(values)
    return stdev(values) / abs(mean) if len(values) > 1 and mean else None


def _throughputs(measured: Sequence[Answer]) -> list[dict[str, Any]]:
    """Every batch size of every repeat, counted from 1."""
    return [
        {"repeat": number, **dict(zip(TRIED, tried, strict=False))}
        for number, answer in enumerate(measured, start=1)
        for tried in answer.get("measurements", {}).get("throughputs", ())
    ]


def _reasons(answers: Sequence[Answer]) -> dict[str, str]:
    counted: Counter[tuple[str, str]] = Counter()
    for answer in answers:
        groups = [content for content in answer.values() if isinstance(content, Mapping)]
        why = {name: text for group in groups for name, text in group.get("reasons", {}).items()}
        counted.update(({"everything": answer["error"]} if "error" in answer else why).items())
    reasons: dict[str, list[str]] = {}
    for (name, why), times in counted.items():
        share = "" if times == len(answers) else f" ({times} of {len(answers)} repeats)"
        reasons.setdefault(name, []).append(why + share)
    return {name: "; ".join(texts) for name, texts in reasons.items()}
