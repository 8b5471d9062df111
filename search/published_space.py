"""The published rows of a variant: as a space of their own, and beside what became of them."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from rich.table import Table

from search.objectives import shown
from search.record import Record, config_hash
from spaces.rules import AtMost
from spaces.space import Choice, Domain, Space, Value

_COMPARED = ("valid_top1", "test_top1", "params", "gflops")


def rows_only(space: Space, constants: Collection[str]) -> Space:
    """A space of the values that the published rows have; `constants` stay as they are.

    What is constant in the variant, and otherwise in a row, is as in the row. Rules of sense
    (`AtMost`) are not asked: the galaxy paper has rows with more projected tokens than tokens.
    """
    rows = [
        replace(point, params={n: v for n, v in point.params.items() if n not in constants})
        for point in space.published
    ]
    params: dict[str, Domain] = {}
    for name in dict.fromkeys(name for row in rows for name in row.params):
        values: list[Value] = [row.params[name] for row in rows if name in row.params]
        params[name] = Choice(tuple({(type(value), value): value for value in values}.values()))
    fixed = {name: value for name, value in space.fixed.items() if name not in params}
    rules = tuple(rule for rule in space.rules if not isinstance(rule, AtMost))
    return replace(space, params=params, fixed=fixed, published=tuple(rows), rules=rules)


def beside(records: Sequence[Record], space: Space) -> Table:
    """Each published row beside its trial: as printed, and as trained here.

    Rows that train alike have one trial. The space is one of `rows_only`.
    """
    ours = {config_hash(r.params): r for r in records if r.published and not r.repeat_of}
    heads = (f"{name} {whose}" for name in _COMPARED for whose in ("printed", "here"))
    table = Table("published row", "trial", *heads, box=None, title="printed and trained here")
    for point in space.published:
        record = ours.get(config_hash(space.effective({**space.fixed, **point.params})))
        here = {} if record is None else {"valid_top1": record.value, **record.metrics}
        cells = [
            shown(name, values.get(name)) for name in _COMPARED for values in (point.results, here)
        ]
        table.add_row(point.address, "not tried" if record is None else record.key, *cells)
    return table
