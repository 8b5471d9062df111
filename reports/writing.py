"""How a report writes numbers, hyperparameters and tables. Rows are those of `reports.collect`."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, cast

from trainables.metrics import CATALOGUE

Row = Mapping[str, Any]

_NUMBER = re.compile(r"–|#?-?[\d,.]+(e[-+]?\d+)?")


def varying(trials: Sequence[Row]) -> list[str]:
    """Names of the hyperparameters in which the trials differ; all names if they differ in none."""
    same = shared(trials)
    names = [key.removeprefix("param.") for key in _param_keys(trials)]
    return [name for name in names if name not in same] or names


def shared(trials: Sequence[Row]) -> dict[str, Any]:
    """The hyperparameters that are the same in every trial."""
    return {
        key.removeprefix("param."): trials[0][key]
        for key in _param_keys(trials)
        if all(trial[key] == trials[0][key] for trial in trials)
    }


def _param_keys(trials: Sequence[Row]) -> list[str]:
    return [key for key in (trials[0] if trials else ()) if key.startswith("param.")]


def hyperparameters(trial: Row, names: Iterable[str]) -> dict[str, Any]:
    """The hyperparameters `names` of a trial; None for a name that it lacks."""
    return {name: trial.get(f"param.{name}") for name in names}


def settings(params: Mapping[str, Any]) -> str:
    """Hyperparameters as `depth 6, dim 64`."""
    return ", ".join(f"{name} {number(value)}" for name, value in params.items())


def number(value: Any, metric: str = "") -> str:
    """A value as text: fractions in %, bytes in MiB, counts in full, others to three digits.

    A missing value is a dash. Without `metric`, the value is written like a hyperparameter.
    """
    unit = CATALOGUE[metric].unit if metric else ""
    if value is None:
        return "–"
    if unit == "fraction":
        return f"{100 * value:.2f}"
    if unit == "bytes":
        return f"{value / 2**20:,.0f}"
    if unit and (value >= 100 or value.is_integer()):
        return f"{value:,.0f}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def lines(text: str) -> str:
    """A JSON object as one line per entry, any other text as it is."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    if not isinstance(found, dict):
        return text
    entries = cast(dict[str, Any], found)
    return "\n".join(f"{name}: {_plain(value)}" for name, value in entries.items())


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        entries = cast(dict[str, Any], value)
        value = [f"{name} {_plain(inner)}" for name, inner in entries.items()]
    if isinstance(value, list):
        value = ", ".join(map(_plain, cast(list[Any], value)))
    return "none" if value in (None, "") else str(value)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], empty: str = "") -> str:
    """An HTML table of plain texts, which it escapes; the sentence `empty` if there are no rows.

    Numbers are right-aligned, words are not broken, and columns of sentences are wide.
    """
    if not rows:
        return f"<p>{escape(empty)}</p>" if empty else ""
    kinds = [_kind(column) for column in zip(*rows, strict=True)]
    body = [
        "".join(
            f'<{tag} class="{kind}">{escape(cell)}</{tag}>'
            for kind, cell in zip(kinds, row, strict=True)
        )
        for tag, row in [("th", head), *(("td", row) for row in rows)]
    ]
    return f'<div class="wide"><table><tr>{"</tr><tr>".join(body)}</tr></table></div>'


def _kind(column: Sequence[str]) -> str:
    if all(map(_NUMBER.fullmatch, column)):
        return "number"
    if max(map(len, column)) > 40:
        return "sentence"
    return "words" if any(" " in cell for cell in column) else "word"
