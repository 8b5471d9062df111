"""A table of measured costs for people: one line per metric, one column per measurement."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from search.units import quantity
from trainables.efficiency.execution import Setting
from trainables.efficiency.results import Row
from trainables.efficiency.table import unit
from trainables.metrics import EFFICIENCY

_COLUMN, _GAP = 26, 2  # characters
_UNKNOWN = "no reason was recorded"


def shown(rows: Sequence[Row], width: int) -> Group:
    """Medians and relative spreads of `rows`, as many columns per table as fit into `width`.

    The reasons of empty cells are footnotes.
    """
    notes: dict[str, int] = {}
    names = max(map(len, EFFICIENCY))
    beside = max(1, (width - names - _GAP) // (_COLUMN + _GAP))
    parts = [rows[start : start + beside] for start in range(0, len(rows), beside)]
    tables = [_table(part, notes) for part in parts]
    return Group(*tables, *(Text(f"[{number}] {why}") for why, number in notes.items()))


def _table(rows: Sequence[Row], notes: dict[str, int]) -> Table:
    table = Table("median ± spread", box=None, padding=(0, _GAP, 0, 0))
    for row in rows:
        table.add_column(_heading(row, notes), justify="right", max_width=_COLUMN)
    for name in EFFICIENCY:
        table.add_row(name, *(Text(_cell(row, name, notes)) for row in rows))
    return table


def _heading(row: Row, notes: dict[str, int]) -> Text:
    setting = Setting(row["mode"], row["precision"], row["training_precision"])
    marks: list[str] = []
    for name in ("everything", "other_load"):
        if name in row["reasons"]:
            marks.append(_mark(row["reasons"][name], notes))
    if row.get("other_load"):
        marks.append(_mark("measured while other programs used the machine", notes))
    size = f"{row['image_size']} px, repeats: {row['repeats']}"
    lines = (" ".join((row["label"], *marks)), setting.label, size)
    return Text("\n".join(lines))


def _cell(row: Row, name: str, notes: dict[str, int]) -> str:
    why = row["reasons"].get(name)
    if (value := row.get(name)) is None:
        return _mark(why or row["reasons"].get("everything", _UNKNOWN), notes)
    spread = row.get(f"{name}_spread")
    text = quantity(value, unit(name)) + (f" ± {_percent(spread)}" if spread else "")
    return f"{text} {_mark(why, notes)}" if why else text


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 1 else f"{100 * share:.0f} %"


def _mark(why: str, notes: dict[str, int]) -> str:
    return f"[{notes.setdefault(why, len(notes) + 1)}]"
