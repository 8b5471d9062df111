"""Finds a data set by name or path: built-in (made on first use), imported, or any folder."""

import difflib
import importlib
import pkgutil
import shutil
from collections.abc import Sequence
from pathlib import Path

from trainables.data import builtin
from trainables.data.dataset import SIDE_FILE, DataError, Dataset, Progress, Symmetries
from trainables.data.folder import open_dataset
from trainables.errors import Exit
from trainables.lock import exclusive


class UnknownDatasetError(DataError):
    """A name that no data set has. It is a bad request, while other DataErrors are bad data."""

    exit = Exit.BAD_REQUEST


def names() -> list[str]:
    """Data sets that come with the package: the modules of `trainables.data.builtin`."""
    return sorted(module.name for module in pkgutil.iter_modules(builtin.__path__))


def imported(data_home: Path) -> list[str]:
    """Data sets that were imported into `data_home`: its complete folders."""
    if not data_home.is_dir():
        return []
    found = (path.parent.name for path in data_home.glob(f"*/{SIDE_FILE}"))
    return sorted(name for name in found if name not in names() and not name.startswith("."))


def locate(name_or_path: str, data_home: Path, progress: Progress | None = None) -> Dataset:
    """The data set with a name or in a folder.

    Args:
        name_or_path: a built-in or imported data set, or a folder of shards.
        data_home: where data sets are; a built-in one is made there on first use.
        progress: is called while one is made.

    Raises:
        DataError: all mistakes of the data.
        UnknownDatasetError: there is no data set of that name.
        OSError: `data_home` cannot be written.
    """
    if name_or_path not in names():
        return open_dataset(_folder(name_or_path, data_home))
    folder = data_home / name_or_path
    if not folder.exists():
        with exclusive(data_home / f".{name_or_path}.lock"):
            if not folder.exists():
                _make(name_or_path, folder, progress)
    return _reopened(folder)


def check(name_or_path: str, data_home: Path) -> Dataset | None:
    """Like `locate`, but makes nothing: None for a built-in data set that is not made yet."""
    if name_or_path not in names():
        return open_dataset(_folder(name_or_path, data_home))
    folder = data_home / name_or_path
    return _reopened(folder) if folder.exists() else None


def outlined(name: str, data_home: Path) -> Dataset:
    """A built-in data set as it will be, as far as that is known before it is made.

    It has neither shards nor statistics, and all images of a split count as of the first class.
    """
    module = importlib.import_module(f"{builtin.__name__}.{name}")
    rest = (0,) * (len(module.CLASSES) - 1)
    return Dataset(
        path=data_home / name,
        name=name,
        classes=tuple(module.CLASSES),
        counts={split: (rows, *rest) for split, rows in module.SIZES.items()},
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        image_size=module.IMAGE_SIZE,
        symmetries=Symmetries(),
        shards=(),
        source="",
        licence="",
    )


def _folder(name_or_path: str, data_home: Path) -> Path:
    path = Path(name_or_path).expanduser()
    if "/" in name_or_path:
        return path
    if name_or_path in imported(data_home):
        return data_home / name_or_path
    if path.exists():
        return path
    raise unknown(name_or_path, [*names(), *imported(data_home)])


def unknown(name: str, known: Sequence[str]) -> UnknownDatasetError:
    """The error for an unknown name, with the nearest name and all names."""
    near = difflib.get_close_matches(name.lower(), known, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return UnknownDatasetError(
        [
            f"unknown data set {name!r}{hint}; there are: {', '.join(known)}; "
            "a folder of Parquet shards is given as a path, such as ./images"
        ]
    )


def _make(name: str, folder: Path, progress: Progress | None) -> None:
    part = folder.with_name(f".{name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        importlib.import_module(f"{builtin.__name__}.{name}").make(part, progress)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _reopened(folder: Path) -> Dataset:
    try:
        return open_dataset(folder)
    except DataError as error:
        again = f"{folder}: remove this folder and it is made again on next use"
        raise DataError([*error.mistakes, again]) from error
