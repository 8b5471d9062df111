"""Galaxy Zoo 2: images_gz2.zip or a folder of ASSET_ID.jpg, and gz2_train.csv, _valid and _test.

The archive (Zenodo, record 3565489) is read as it is, never unpacked. The tables are those of Lin
et al., arXiv:2110.01024: columns galaxyID and label1 to label4, from eight classes to three. They
are given, or lie beside the archive or in the folder; their names say the split.

Other tables serve where `label_column` names a column of classes, such as `gz2_class` of Hart et
al.: their ids are those of the files (asset_id), or those of SDSS (dr7objid), for which Zenodo's
gz2_filename_mapping.csv must lie there.
"""

import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from trainables.data.builtin.galaxies import CLASSES
from trainables.data.dataset import DataError, Symmetries
from trainables.data.describe import About
from trainables.data.importing import label_table
from trainables.data.importing.archive import ZipImages, by_stem
from trainables.data.importing.file_names import FLOAT
from trainables.data.importing.forms import Options
from trainables.data.importing.forms.table import numbered
from trainables.data.importing.image_files import Tree, is_image
from trainables.data.importing.listing import Listing
from trainables.data.importing.splitting import split_index

ID = "galaxyID"
ASSET_IDS = (ID, "asset_id")
SDSS_IDS = ("dr7objid", "objid")
MAPPING = ("objid", "asset_id")
# label2 to label4 put the eight classes together; the tables have numbers, these names are ours.
COLUMNS = {
    "label1": CLASSES,
    "label2": ("elliptical", "edge-on", "spiral", "irregular", "merger"),
    "label3": ("elliptical", "disc", "irregular", "merger"),
    "label4": ("elliptical", "disc", "irregular or merger"),
}
SHOWN = 12
SYMMETRIES = Symmetries(rotation_degrees=90, horizontal_flip=True, vertical_flip=True)


def fits(source: Path, options: Options) -> bool:
    """Whether it is a folder or a zip archive, and tables with a column of galaxies are there."""
    if not source.is_dir() and source.suffix != ".zip":
        return False
    try:
        tables = options.labels or _tables(source)
        ours = all(ID in label_table.columns(table) for table in tables)
        given = source.suffix == ".zip" or _mapping(source) is not None
        return bool(tables) and (ours or (given and options.label_column is not None))
    except (DataError, OSError):
        return False


def hints(source: Path, options: Options) -> list[str]:
    """What an archive or the mapping of Galaxy Zoo 2 lacks to be this form."""
    if not source.is_dir() and source.suffix != ".zip":
        return []
    try:
        if _mapping(source) is None and not (_beside(source) / "images_gz2.zip").is_file():
            return []
        tables = options.labels or _tables(source)
    except (DataError, OSError):
        return []
    if not tables:
        return [_no_tables(source)]
    has = ", ".join(label_table.columns(tables[0])[:SHOWN])
    return [f"{tables[0]}: say which column is the class with --label-column; it has: {has}, ..."]


def listing(source: Path, options: Options) -> Listing:
    """The galaxies of the tables; images that no table names are left out and counted."""
    tables = options.labels or _tables(source)
    column = options.label_column or "label1"
    mistakes = _mistakes(source, tables, column, options)
    if mistakes:
        raise DataError(mistakes)
    problems: list[tuple[str, str]] = []
    where = _images_in(source, options)
    images = ZipImages(where, problems) if where.is_file() else _Folder(where, options, problems)
    rows, changed = _rows(source, tables, column, options)
    classes, numbers, strange = _classes([label for _, label, _ in rows], column, options)
    if strange:
        raise DataError([f"{tables[0]}: {strange}"])
    ids, labels, splits = [], [], []
    known: set[str] = set()
    for (name, text, table), number in zip(rows, numbers, strict=True):
        if name in known:
            reason = "named twice"
        elif name not in images.paths:
            reason = f"no image {name}.jpg in {where.name}"
        elif number < 0:
            reason = f"label {text!r} is outside 0..{len(classes) - 1}" if text else "has no label"
        else:
            known.add(name)
            ids.append(name)
            labels.append(number)
            splits.append(_split_of(table))
            continue
        problems.append((name, f"{reason}, in {table.name}"))
    unnamed = len(images.paths) - len(ids)
    left_out = [f"{unnamed:,} images that no table names are left out"] if unnamed else []
    return Listing(
        classes=tuple(classes),
        ids=ids,
        labels=np.array(labels, np.int64),
        splits=np.array(splits, np.int8),
        read=images.reader([images.paths[name] for name in ids]),
        problems=problems,
        about=About(
            symmetries=SYMMETRIES,
            source="Galaxy Zoo 2, Zenodo record 3565489; labels of Lin et al., arXiv:2110.01024",
            licence="labels: MIT; images: as said at Zenodo",
        )
        if column in COLUMNS
        else About(symmetries=SYMMETRIES, source="Galaxy Zoo 2, Zenodo record 3565489"),
        notes=[*changed, *images.notes(), *left_out],
    )


def _rows(
    source: Path, tables: Sequence[Path], column: str, options: Options
) -> tuple[list[tuple[str, str, Path]], list[str]]:
    """(name of the image, label, table) of each row, and what was done to the names."""
    found: list[tuple[str, str, Path]] = []
    notes: list[str] = []
    for table in tables:
        id_column = _id_column(table, options)
        names, texts = label_table.texts(table, [id_column, column])
        whole = [FLOAT.sub(r"\1", name) for name in names]
        if changed := sum(a != b for a, b in zip(names, whole, strict=True)):
            notes.append(f"{table.name}: {changed:,} ids such as 5.0 are read as whole numbers")
        if id_column in SDSS_IDS:
            assets = _assets(source)
            whole = [assets.get(name, name) for name in whole]
            notes.append(f"{table.name}: {id_column} is looked up in gz2_filename_mapping.csv")
        found += [(name, text, table) for name, text in zip(whole, texts, strict=True)]
    return found, notes


def _classes(
    texts: Sequence[str], column: str, options: Options
) -> tuple[Sequence[str], Sequence[int], str]:
    """Classes, the number of each text (-1 where it has none), and what is wrong with them."""
    if column in COLUMNS:
        classes = options.classes or COLUMNS[column]
        number = {str(index): index for index in range(len(classes))}
        return classes, [number.get(text, -1) for text in texts], ""
    labelled = [text for text in texts if text]
    classes, numbers, strange = numbered(labelled, options.classes)
    number = dict(zip(labelled, numbers.tolist(), strict=False))
    return classes, [number.get(text, -1) for text in texts], strange


def _mistakes(source: Path, tables: Sequence[Path], column: str, options: Options) -> list[str]:
    mistakes = []
    if not source.is_dir() and not zipfile.is_zipfile(source):
        mistakes.append(f"{source}: neither a folder nor a zip archive; give images_gz2.zip")
    if not tables:
        mistakes.append(_no_tables(source))
    for table in tables:
        has = label_table.columns(table)
        id_column = _id_column(table, options)
        lacking = [name for name in (id_column, column) if name not in has]
        if lacking and ID in has and column not in COLUMNS:
            known = ", ".join(name for name in COLUMNS if name in has)
            mistakes.append(f"{table}: no column of labels {column!r}; there are: {known}")
        elif lacking:
            said = f"{table}: no column {' and '.join(lacking)}; it has: {', '.join(has[:SHOWN])}"
            mistakes.append(f"{said}; name the columns with --id-column and --label-column")
        elif id_column in SDSS_IDS and _mapping(source) is None:
            mistakes.append(f"{table}: put gz2_filename_mapping.csv of Zenodo beside the images")
    return list(dict.fromkeys(mistakes))


def _no_tables(source: Path) -> str:
    return (
        f"{_beside(source)}: no gz2_train.csv and so on, which name the class of each galaxy (the "
        "mapping does not); put them there or give --labels"
    )


def _images_in(source: Path, options: Options) -> Path:
    """The archive, or the folder that holds the images: one with only an archive in it is that."""
    if source.is_file() or any(map(is_image, Tree(source, options.leave).walk())):
        return source
    archives = sorted(source.glob("*.zip"))
    named = [path for path in archives if path.name == "images_gz2.zip"]
    return (named or (archives if len(archives) == 1 else [source]))[0]


def _tables(source: Path) -> tuple[Path, ...]:
    """The authors' tables beside the images; if there are none, other tables but the mapping."""
    found = [p for end in ("csv", "csv.gz") for p in sorted(_beside(source).glob(f"gz2_*.{end}"))]
    has = {path: label_table.columns(path) for path in found}
    ours = [path for path in found if ID in has[path]]
    return tuple(ours or [path for path in found if not set(MAPPING) <= set(has[path])])


def _mapping(source: Path) -> Path | None:
    found = sorted(_beside(source).glob("gz2_filename_mapping*.csv*"))
    return next((path for path in found if set(MAPPING) <= set(label_table.columns(path))), None)


def _assets(source: Path) -> dict[str, str]:
    """The asset of each SDSS id."""
    path = _mapping(source)
    assert path is not None
    return dict(zip(*label_table.texts(path, MAPPING), strict=True))


def _id_column(table: Path, options: Options) -> str:
    has = label_table.columns(table)
    return options.id_column or next((c for c in (*ASSET_IDS, *SDSS_IDS) if c in has), ID)


def _beside(source: Path) -> Path:
    return source if source.is_dir() else source.parent


def _split_of(table: Path) -> int:
    """The split that a part of the table's name says; -1 if none."""
    parts = map(split_index, re.split(r"[-_.]", table.stem))
    return next((part for part in parts if part is not None), -1)


class _Folder:
    """Images below a folder by the stems of their names."""

    def __init__(self, source: Path, options: Options, problems: list[tuple[str, str]]):
        self._tree = Tree(source, options.leave)
        self.paths = by_stem(self._tree.walk(), problems)
        problems += self._tree.problems

    def notes(self) -> list[str]:
        return self._tree.notes()

    def reader(self, paths: Sequence[str]) -> Callable[[int], bytes]:
        return self._tree.reader(paths)
