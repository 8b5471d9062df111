"""Tables of labels that lie in a source, and what their columns are for."""

from collections.abc import Sequence
from pathlib import Path

from trainables.data.dataset import DataError
from trainables.data.importing import label_table
from trainables.data.importing.forms import Options
from trainables.data.importing.image_files import Tree, hidden
from trainables.data.importing.splitting import split_index

IDS = ("file_name", "filename", "path", "id", "image_id", "image", "file")
LABELS = ("label", "class", "category", "target")


def tables_in(source: Path, options: Options) -> tuple[Path, ...]:
    """Tables in the source or in its folders of splits: `metadata.*`, or all that there are."""
    found = all_tables(source, options)
    metadata = [path for path in found if path.stem == "metadata"]
    by_split = [path for path in found if split_of(path) != -1]
    if metadata or by_split or len(found) < 2:
        return tuple(metadata or by_split or found)
    # an example of what to hand in is no table of labels, whatever its columns are
    others = [path for path in found if "submission" not in path.stem.lower()]
    understood = [path for path in others if _understood(path, options)]
    return tuple(understood) if len(understood) == 1 else ()


def all_tables(source: Path, options: Options) -> list[Path]:
    """Every table in the source and in its folders of splits, whatever it is of."""
    inside = Tree(source, options.leave).folders()
    places = [source, *(source / name for name in inside if split_index(name) is not None)]
    return [
        path
        for place in places
        for path in sorted(place.iterdir())
        if path.suffix in label_table.SUFFIXES and path.is_file() and not hidden(path.name)
    ]


def _understood(table: Path, options: Options) -> bool:
    try:
        return columns_of(table, options) is not None
    except DataError:
        return False


def with_labels(tables: Sequence[Path], options: Options) -> tuple[list[Path], list[str]]:
    """Those of several tables that have labels, and what to say of the others."""
    having = [table for table in tables if len(tables) == 1 or columns_of(table, options)]
    if not having:
        return list(tables), []
    lacking = [table.name for table in tables if table not in having]
    return having, [f"{name} has no column of labels and is left out" for name in lacking]


def columns_of(table: Path, options: Options) -> tuple[str, str, str | None] | None:
    """The columns of files, labels and splits; None if it has not the first two.

    Where a table of two columns has one of files, the other is of labels, whatever it is called.
    """
    has = label_table.columns(table)
    name = label_table.chosen(table, has, options.id_column, IDS)
    label = label_table.chosen(table, has, options.label_column, LABELS)
    split = label_table.chosen(table, has, options.split_column, ("split",))
    others = [column for column in has if column.strip() and column not in (name, split)]
    if name and not label and len(others) == 1:
        label = others[0]
    return (name, label, split) if name and label else None


def is_guess(table: Path, options: Options) -> bool:
    """Whether the column of labels is only the other one of two."""
    found = columns_of(table, options)
    label = found[1] if found else ""
    return label != options.label_column and label.strip().lower() not in LABELS


def unknown_columns(table: Path, has: Sequence[str]) -> str:
    """What to say of a table whose columns say nothing by their names."""
    return (
        f"{table}: no column of files ({', '.join(IDS)}) or of labels ({', '.join(LABELS)}); "
        f"it has: {', '.join(has) or 'none'}; name them with --id-column, --label-column"
    )


def split_of(table: Path) -> int:
    """The split that a table's name or folder says; -1 if none."""
    found = split_index(table.stem)
    found = split_index(table.parent.name) if found is None else found
    return -1 if found is None else found
