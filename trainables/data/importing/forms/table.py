"""Images in a folder, and a table (CSV, JSON lines, Parquet) with a row of file and label for each.

Tables are given, or lie in SOURCE or in its folders train, valid and test, alone or as
`metadata.csv`, as Hugging Face's ImageFolder has them. Columns are found by name: id, file_name,
filename, path, image, image_id or file; label, class or category; split. A file is named by its
path from SOURCE or from its table, with or without suffix, or by a name that only one file has;
what spreadsheets and other systems do to names is undone where one file alone can be meant.
Without a column of splits, a table called after a split, such as `train.csv`, or in a folder called
so, gives it.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import SPLITS, DataError
from trainables.data.importing import label_table
from trainables.data.importing.file_names import FileNames
from trainables.data.importing.forms import Options
from trainables.data.importing.image_files import Tree
from trainables.data.importing.label_columns import (
    all_tables,
    columns_of,
    is_guess,
    split_of,
    tables_in,
    unknown_columns,
    with_labels,
)
from trainables.data.importing.listing import Listing
from trainables.data.importing.splitting import split_index

GENERAL = True
ROUNDED = re.compile(r"\d\.\d+[eE]\+\d+")
SHOWN, SHOWN_TABLES = 20, 3


def fits(source: Path, options: Options) -> bool:
    """Whether a table with a column of files and one of labels is given or found."""
    if not source.is_dir():
        return False
    try:
        tables = options.labels or tables_in(source, options)
        understood = [path for path in tables if columns_of(path, options)]
        named = any(not is_guess(path, options) for path in understood)
        return named or any(_names_a_file(path, source, options) for path in understood)
    except DataError:
        return False


def hints(source: Path, options: Options) -> list[str]:
    """Tables beside the images whose columns are not understood, and what would name them."""
    if not source.is_dir():
        return []
    said = []
    for path in options.labels or all_tables(source, options):
        try:
            has = label_table.columns(path)
            if path.suffix != ".parquet" and not columns_of(path, options):
                said.append(unknown_columns(path, has))
        except DataError as error:
            said += error.mistakes
    return said[:SHOWN_TABLES]


def listing(source: Path, options: Options) -> Listing:
    """The images that the tables name. DataError for tables that cannot be understood."""
    if not source.is_dir():
        raise DataError([f"{source}: not a folder; give the folder that holds the images"])
    tables = options.labels or tables_in(source, options)
    if not tables:
        wanted = "a file of labels in it, such as labels.csv, or as metadata.csv"
        there = hints(source, options)
        raise DataError([f"{source}: there is not {wanted}; give it with --labels", *there])
    tree = Tree(source, options.leave)
    files = FileNames(tree.walk(), source)
    problems = tree.problems
    paths: list[str] = []
    texts: list[str] = []
    splits: list[int] = []
    rows: dict[str, int] = {}
    tables, notes = with_labels(tables, options)
    for table in tables:
        prefix = _prefix(source, table)
        for name, label, split in _rows(table, options, notes):
            found, reason = files.find(name, prefix)
            if found is not None and found in rows:
                known = texts[rows[found]]
                reason = "named twice" if known == label else f"both {known!r} and {label!r}"
            elif found is not None and not label:
                reason = "has no label"
            if found is None or reason:
                problems.append((name or "(no name)", f"{reason}, in {table.name}"))
                continue
            rows[found] = len(paths)
            paths.append(found)
            texts.append(label)
            splits.append(split)
    classes, labels, strange = numbered(texts, options.classes)
    if strange:
        raise DataError([f"{tables[0]}: {strange}"])
    unnamed = len(set(files.images).difference(rows))
    left_out = [f"{unnamed:,} images that no row names are left out"] if unnamed else []
    return Listing(
        classes=classes,
        ids=paths,
        labels=labels,
        splits=np.array(splits, np.int8),
        read=tree.reader(paths),
        problems=problems,
        notes=[*notes, *files.notes(), *tree.notes(), *left_out],
    )


def numbered(
    texts: Sequence[str], classes: Sequence[str] | None, *, by_number: bool = False
) -> tuple[tuple[str, ...], NDArray[np.int64], str]:
    """Classes, the label (N,) of each text, and what is wrong with them, if anything.

    Without given classes these are the texts, in order: of number if all are numbers. With given
    ones, texts are their names; or their numbers, if that is known or no text but numbers is found.
    """
    found = set(texts)
    whole = all(re.fullmatch(r"-?\d{1,18}", text) for text in found)
    if classes is None:
        ordered = sorted(found, key=int) if whole else sorted(found)
        names = tuple(ordered)
    else:
        names = tuple(classes)
        ordered = list(names)
        if by_number or (whole and not found <= set(names)):
            ordered = [str(index) for index in range(len(names))]
    number = {name: index for index, name in enumerate(ordered)}
    if strange := sorted(found - number.keys()):
        said = f"labels of no given class: {', '.join(strange[:10])}"
        return names, np.zeros(0, np.int64), f"{said}; the classes given are: {', '.join(names)}"
    return names, np.fromiter((number[text] for text in texts), np.int64, len(texts)), ""


def _names_a_file(table: Path, source: Path, options: Options) -> bool:
    """Whether one of the first rows does: a list of classes has two columns as well."""
    files = FileNames(Tree(source, options.leave).walk(), source)
    rows = islice(_rows(table, options, []), SHOWN)
    return any(files.find(name, _prefix(source, table))[0] for name, *_ in rows)


def _rows(table: Path, options: Options, notes: list[str]) -> Iterable[tuple[str, str, int]]:
    """(file, label, split) of each row."""
    columns = columns_of(table, options)
    if columns is None:
        raise DataError([unknown_columns(table, label_table.columns(table))])
    name, label, _ = columns
    if is_guess(table, options):
        said = f"{table.name}: {name} is read as the files and {label} as their classes"
        notes.append(f"{said}; others are named with --id-column, --label-column")
    *wanted, split = columns
    names, labels, *said = label_table.texts(table, [*wanted, *([split] if split else [])])
    if rounded := next(filter(ROUNDED.fullmatch, names), None):
        fix = "a spreadsheet has rounded it; export the ids as text"
        raise DataError([f"{table}: {rounded!r} is no id; {fix}"])
    if not said:
        return zip(names, labels, [split_of(table)] * len(names), strict=True)
    strange = sorted({text for text in said[0] if text and split_index(text) is None})
    if strange:
        shown = ", ".join(map(repr, strange[:SHOWN]))
        raise DataError([f"{table}: no splits: {shown}; there are: {', '.join(SPLITS)}"])
    numbers = (index for text in said[0] for index in [split_index(text)])
    return zip(names, labels, (-1 if n is None else n for n in numbers), strict=True)


def _prefix(source: Path, table: Path) -> str:
    """The path from the source to the folder of a table inside it, with a slash; else nothing."""
    try:
        inside = table.parent.resolve().relative_to(source.resolve()).as_posix()
    except ValueError:
        return ""
    return "" if inside == "." else f"{inside}/"
