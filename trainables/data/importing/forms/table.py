"""Images in a folder, and a table (CSV, JSON lines, Parquet) with a row of file and label for each.

Tables are given, or lie in SOURCE or in its folders train, valid and test, alone or as
`metadata.csv`, as Hugging Face's ImageFolder has them. Columns are found by name: id, file_name,
filename, path, image, image_id or file; label, class or category; split. A file is named by its
path from SOURCE or from its table, with or without suffix, or by a name that only one file has.
Without a column of splits, a table called after a split, such as `train.csv`, or in a folder called
so, gives it.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import SPLITS, DataError
from trainables.data.importing import label_table
from trainables.data.importing.forms import Options
from trainables.data.importing.image_files import Reader, escapes, folders, is_image, walk
from trainables.data.importing.listing import Listing
from trainables.data.importing.splitting import split_index

GENERAL = True
IDS = ("file_name", "filename", "path", "id", "image_id", "image", "file")
LABELS = ("label", "class", "category", "target")
ROUNDED = re.compile(r"\d\.\d+[eE]\+\d+")
SHOWN = 20


def fits(source: Path, options: Options) -> bool:
    """Whether a table with a column of files and one of labels is given or found."""
    if not source.is_dir():
        return False
    try:
        tables = options.labels or _tables(source)
        return bool(tables) and all(_columns(path, options) for path in tables)
    except DataError:
        return False


def listing(source: Path, options: Options) -> Listing:
    """The images that the tables name. DataError for tables that cannot be understood."""
    if not source.is_dir():
        raise DataError([f"{source}: not a folder; give the folder that holds the images"])
    tables = options.labels or _tables(source)
    if not tables:
        wanted = "a file of labels in it, such as labels.csv, or as metadata.csv"
        raise DataError([f"{source}: there is not {wanted}; give it with --labels"])
    problems: list[tuple[str, str]] = []
    files = _Files([path for path in walk(source, problems) if is_image(path)])
    paths: list[str] = []
    texts: list[str] = []
    splits: list[int] = []
    rows: dict[str, int] = {}
    for table in tables:
        prefix = _prefix(source, table)
        for name, label, split in _rows(table, options):
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
    unnamed = len(files.paths) - len(rows)
    return Listing(
        classes=classes,
        ids=paths,
        labels=labels,
        splits=np.array(splits, np.int8),
        read=Reader(source, paths),
        problems=problems,
        notes=[f"{unnamed:,} images that no row names are left out"] if unnamed else [],
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


def _tables(source: Path) -> tuple[Path, ...]:
    """Tables in the source or in its folders of splits: `metadata.*`, or all that there are."""
    places = [source, *(source / n for n in folders(source, []) if split_index(n) is not None)]
    found = [
        path
        for place in places
        for path in sorted(place.iterdir())
        if path.suffix in label_table.SUFFIXES and path.is_file() and not path.is_symlink()
    ]
    metadata = [path for path in found if path.stem == "metadata"]
    by_split = [path for path in found if _split_of(path) != -1]
    return tuple(metadata or by_split or (found if len(found) == 1 else ()))


def _columns(table: Path, options: Options) -> tuple[str, str, str | None] | None:
    """The columns of files, labels and splits; None if it has not the first two."""
    has = label_table.columns(table)
    name = label_table.chosen(table, has, options.id_column, IDS)
    label = label_table.chosen(table, has, options.label_column, LABELS)
    split = label_table.chosen(table, has, options.split_column, ("split",))
    return (name, label, split) if name and label else None


def _split_of(table: Path) -> int:
    """The split that a table's name or folder says; -1 if none."""
    found = split_index(table.stem)
    found = split_index(table.parent.name) if found is None else found
    return -1 if found is None else found


def _rows(table: Path, options: Options) -> Iterable[tuple[str, str, int]]:
    """(file, label, split) of each row."""
    columns = _columns(table, options)
    if columns is None:
        has = ", ".join(label_table.columns(table)) or "none"
        raise DataError(
            [
                f"{table}: no column of files ({', '.join(IDS)}) or of labels "
                f"({', '.join(LABELS)}); it has: {has}; name them with --id-column, --label-column"
            ]
        )
    *wanted, split = columns
    names, labels, *said = label_table.texts(table, [*wanted, *([split] if split else [])])
    if rounded := next(filter(ROUNDED.fullmatch, names), None):
        fix = "a spreadsheet has rounded it; export the ids as text"
        raise DataError([f"{table}: {rounded!r} is no id; {fix}"])
    if not said:
        return zip(names, labels, [_split_of(table)] * len(names), strict=True)
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


class _Files:
    """The images of a source, found as tables name them."""

    def __init__(self, paths: list[str]):
        self.paths = set(paths)
        self._stems: dict[str, list[str]] = {}
        for path in paths:
            pure = PurePosixPath(path)
            for key in {str(pure.with_suffix("")), pure.name, pure.stem}:
                self._stems.setdefault(key, []).append(path)

    def find(self, name: str, prefix: str) -> tuple[str | None, str]:
        """The file of this name, or None and why there is none."""
        if not name:
            return None, "a row without a file"
        if escapes(name):
            return None, "leaves the folder of the images"
        plain = PurePosixPath(name).as_posix()
        for path in (prefix + plain, plain):
            if path in self.paths:
                return path, ""
            if len(found := self._stems.get(path, ())) == 1:
                return found[0], ""
            if found:
                return None, f"{len(found)} files have this name, such as {', '.join(found[:2])}"
        return None, "no such image"
