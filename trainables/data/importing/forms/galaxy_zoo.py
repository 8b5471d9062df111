"""Galaxy Zoo 2: images_gz2.zip or a folder of ASSET_ID.jpg, and gz2_train.csv, _valid and _test.

The archive (Zenodo, record 3565489) is read as it is, never unpacked. The tables are those of Lin
et al., arXiv:2110.01024: columns galaxyID and label1 to label4, from eight classes to three. They
are given, or lie beside the archive or in the folder; their names say the split.
"""

import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from trainables.data.builtin.galaxies import CLASSES
from trainables.data.dataset import DataError, Symmetries
from trainables.data.describe import About
from trainables.data.importing import label_table
from trainables.data.importing.forms import Options
from trainables.data.importing.image_files import MAX_FILE_BYTES, Reader, escapes, is_image, walk
from trainables.data.importing.listing import Listing
from trainables.data.importing.splitting import split_index

ID = "galaxyID"
# label2 to label4 put the eight classes together; the tables have numbers, these names are ours.
COLUMNS = {
    "label1": CLASSES,
    "label2": ("elliptical", "edge-on", "spiral", "irregular", "merger"),
    "label3": ("elliptical", "disc", "irregular", "merger"),
    "label4": ("elliptical", "disc", "irregular or merger"),
}
MAX_RATIO = 200
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
SYMMETRIES = Symmetries(rotation_degrees=90, horizontal_flip=True, vertical_flip=True)


def fits(source: Path, options: Options) -> bool:
    """Whether it is a folder or a zip archive, and tables with a column galaxyID are there."""
    if not source.is_dir() and source.suffix != ".zip":
        return False
    try:
        tables = options.labels or _tables(source)
        return bool(tables) and all(ID in label_table.columns(table) for table in tables)
    except (DataError, OSError):
        return False


def listing(source: Path, options: Options) -> Listing:
    """The galaxies of the tables; images that no table names are left out and counted."""
    tables = options.labels or _tables(source)
    column = options.label_column or "label1"
    mistakes = _mistakes(source, tables, column)
    if mistakes:
        raise DataError(mistakes)
    problems: list[tuple[str, str]] = []
    images = _Zip(source, problems) if source.is_file() else _Folder(source, problems)
    classes = options.classes or COLUMNS[column]
    number = {str(index): index for index in range(len(classes))}
    ids, labels, splits = [], [], []
    known: set[str] = set()
    for table in tables:
        names, texts = label_table.texts(table, [options.id_column or ID, column])
        for name, text in zip(names, texts, strict=True):
            if name in known:
                reason = "named twice"
            elif name not in images.paths:
                reason = f"no image {name}.jpg in {source.name}"
            elif text not in number:
                reason = f"label {text!r} is outside 0..{len(classes) - 1}"
            else:
                known.add(name)
                ids.append(name)
                labels.append(number[text])
                splits.append(_split_of(table))
                continue
            problems.append((name, f"{reason}, in {table.name}"))
    unnamed = len(images.paths) - len(ids)
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
        ),
        notes=[f"{unnamed:,} images that no table names are left out"] if unnamed else [],
    )


def _mistakes(source: Path, tables: Sequence[Path], column: str) -> list[str]:
    mistakes = []
    if not source.is_dir() and not zipfile.is_zipfile(source):
        mistakes.append(f"{source}: neither a folder nor a zip archive; give images_gz2.zip")
    if not tables:
        beside = source if source.is_dir() else source.parent
        mistakes.append(f"{beside}: no gz2_train.csv and so on; put them there or give --labels")
    if column not in COLUMNS:
        mistakes.append(f"no column of labels {column!r}; there are: {', '.join(COLUMNS)}")
        return mistakes
    for table in tables:
        has = label_table.columns(table)
        if lacking := [name for name in (ID, column) if name not in has]:
            said = f"{table}: no column {' and '.join(lacking)}; it has: {', '.join(has)}"
            mistakes.append(f"{said}; give the tables of the authors")
    return mistakes


def _tables(source: Path) -> tuple[Path, ...]:
    beside = source if source.is_dir() else source.parent
    return tuple(sorted(beside.glob("gz2_*.csv")))


def _split_of(table: Path) -> int:
    """The split that a part of the table's name says; -1 if none."""
    parts = map(split_index, re.split(r"[-_.]", table.stem))
    return next((part for part in parts if part is not None), -1)


class _Folder:
    """Images below a folder by the stems of their names."""

    def __init__(self, source: Path, problems: list[tuple[str, str]]):
        self._source = source
        self.paths = _by_stem(walk(source, problems), problems)

    def reader(self, paths: Sequence[str]) -> Reader:
        return Reader(self._source, paths)


class _Zip:
    """Images in an archive by the stems of their names; what could be a trap is a problem."""

    def __init__(self, source: Path, problems: list[tuple[str, str]]):
        try:
            self._archive = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError([f"{source}: damaged ({error}); download it again"]) from error
        sound = []
        for member in self._archive.infolist():
            if reason := _trap(member):
                problems.append((member.filename, reason))
            else:
                sound.append(member.filename)
        self.paths = _by_stem(sound, problems)

    def reader(self, paths: Sequence[str]) -> "_Members":
        return _Members(self._archive, paths)


class _Members:
    """Reads image `i` of a listing: the member `paths[i]` of an archive."""

    def __init__(self, archive: zipfile.ZipFile, paths: Sequence[str]):
        self._archive, self._paths = archive, paths

    def __call__(self, index: int) -> bytes:
        try:
            return self._archive.read(self._paths[index])
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise OSError(f"damaged in the archive ({error})") from error


def _trap(member: zipfile.ZipInfo) -> str | None:
    """Why a member is not read, by its header; reading stops at the size that this says."""
    if escapes(member.filename):
        return "leaves the folder of the archive"
    if member.flag_bits & 1:
        return "encrypted"
    if member.compress_type not in METHODS:
        return f"compressed by method {member.compress_type}; wanted: stored or deflated"
    if member.file_size > MAX_FILE_BYTES:
        return f"{member.file_size:,} bytes, more than {MAX_FILE_BYTES // 2**20} MiB"
    if member.file_size > MAX_RATIO * max(member.compress_size, 1):
        return f"{member.file_size:,} bytes out of {member.compress_size:,}: a zip bomb"
    return None


def _by_stem(paths: Iterable[str], problems: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths:
        pure = PurePosixPath(path)
        if not is_image(pure.name) or pure.name.startswith((".", "_")) or "__MACOSX" in pure.parts:
            continue
        if found.setdefault(pure.stem, path) != path:
            problems.append((path, f"a second image of the name {pure.stem}"))
    return found
