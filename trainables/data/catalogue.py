"""Finds a data set by name or path; those that come with the package are made on first use."""

import difflib
import importlib
import pkgutil
import shutil
from pathlib import Path

from trainables.data import builtin
from trainables.data.dataset import DataError, Dataset, Progress
from trainables.data.folder import open_dataset
from trainables.data.lock import exclusive


class UnknownDatasetError(DataError):
    """A name that no data set has: a bad request, while other DataErrors are bad data."""


def names() -> list[str]:
    """Data sets that come with the package: the modules of `trainables.data.builtin`."""
    return sorted(module.name for module in pkgutil.iter_modules(builtin.__path__))


def locate(name_or_path: str, data_home: Path, progress: Progress | None = None) -> Dataset:
    """The data set of that name, made under `data_home` on first use, or in that folder.

    Raises DataError with all mistakes of the data, UnknownDatasetError for an unknown name, and
    OSError where `data_home` cannot be written.
    """
    if name_or_path not in names():
        return open_dataset(_folder(name_or_path))
    folder = data_home / name_or_path
    if not folder.exists():
        with exclusive(data_home / f".{name_or_path}.lock"):
            if not folder.exists():
                _make(name_or_path, folder, progress)
    return _reopened(folder)


def check(name_or_path: str, data_home: Path) -> Dataset | None:
    """As `locate`, but makes nothing: None for a built-in data set that has not been made yet."""
    if name_or_path not in names():
        return open_dataset(_folder(name_or_path))
    folder = data_home / name_or_path
    return _reopened(folder) if folder.exists() else None


def _folder(name_or_path: str) -> Path:
    path = Path(name_or_path).expanduser()
    if "/" in name_or_path or path.exists():
        return path
    raise unknown(name_or_path)


def unknown(name: str) -> UnknownDatasetError:
    """The error for a name that is none, with the nearest one and all there are."""
    near = difflib.get_close_matches(name.lower(), names(), 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return UnknownDatasetError(
        [
            f"unknown data set {name!r}{hint}; there are: {', '.join(names())}; "
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
        raise DataError([*error.problems, again]) from error
