"""Opens a folder of Parquet shards as a data set; every mistake is reported at once."""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data import side_file
from trainables.data.dataset import SIDE_FILE, SPLITS, DataError, Dataset, Progress
from trainables.data.inspection import inspect
from trainables.data.parquet import SHARD_NAME

EXAMPLE = "train-00000-of-00001.parquet"


def open_dataset(path: Path) -> Dataset:
    """The data set in the folder `path`, after checking the footers and labels of its shards.

    Raises:
        DataError: all mistakes: of the folder, of `dataset.json`, of each shard's schema, rows,
            size and labels, and of classes that a split lacks. Images are not checked.
    """
    files = parquet_files(path)
    problems = misnamed(files)
    dataset = None
    try:
        dataset = side_file.read(path)
    except DataError as error:
        problems += error.mistakes
    counts, found = inspect_all(files, dataset.num_classes if dataset else None)
    problems += found
    if dataset is not None:
        problems += _changes(dataset, files)
        if not found:
            problems += _recounted(dataset, counts)
            problems += missing_classes(by_split(counts), dataset.classes)
    if dataset is None or problems:
        raise DataError(problems)
    return dataset


def verify(dataset: Dataset, progress: Progress | None = None) -> None:
    """Read every shard.

    Raises:
        DataError: names the shards that are missing or whose SHA-256 is not the stated one.
    """
    problems = []
    for done, shard in enumerate(dataset.shards, 1):
        path = dataset.path / shard.file
        if not path.is_file():
            problems.append(f"{path}: missing; copy it again")
        elif (digest := sha256(path)) != shard.sha256:
            problems.append(
                f"{path}: its SHA-256 is {digest[:12]}..., {SIDE_FILE} says "
                f"{shard.sha256[:12]}...; copy it again"
            )
        if progress:
            progress(done, len(dataset.shards))
    if problems:
        raise DataError(problems)


def parquet_files(path: Path) -> list[Path]:
    """The Parquet files of a folder, sorted by name.

    Raises:
        DataError: there is no such folder, or it has no Parquet file.
    """
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, siblings, 1)
        hint = f"did you mean {path.parent / near[0]}?" if near else "give a folder that exists"
        raise DataError([f"{path}: no such folder; {hint}"])
    if not path.is_dir():
        raise DataError([f"{path}: not a folder; give the folder that holds the shards"])
    files = sorted(p for p in path.glob("*.parquet") if not p.name.startswith((".", "_")))
    if files:
        return files
    inside = sorted({str(p.parent) for p in path.glob("*/*.parquet")})
    where = f"there are some in {', '.join(inside[:3])}" if inside else f"put {EXAMPLE} there"
    raise DataError([f"{path}: no Parquet file; {where}, or give another folder"])


def misnamed(files: Sequence[Path]) -> list[str]:
    """Mistakes: files that are no shard of a split, splits without a shard or with a gap."""
    problems = []
    shards: dict[str, list[tuple[int, int]]] = {split: [] for split in SPLITS}
    for path in files:
        if match := SHARD_NAME.fullmatch(path.name):
            shards[match[1]].append((int(match[2]), int(match[3])))
        else:
            problems.append(
                f"{path}: not the name of a shard; rename it after the pattern of {EXAMPLE} "
                f"(splits: {', '.join(SPLITS)})"
            )
    for split, numbers in shards.items():
        total = numbers[0][1] if numbers else 1
        if numbers != [(index, total) for index in range(total)]:
            has = ", ".join(f"{i:05d}-of-{n:05d}" for i, n in numbers[:4]) or "none"
            problems.append(
                f"{split}: its shards should be numbered 00000-of-{total:05d} to "
                f"{total - 1:05d}-of-{total:05d}, there are: {has}; add the missing ones"
            )
    return problems


def inspect_all(
    files: Sequence[Path], num_classes: int | None
) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """Numbers of images per file and class, and every mistake inside the files."""
    counts, problems = {}, []
    for path in files:
        counts[path.name], found = inspect(path, num_classes)
        problems += found
    return counts, problems


def by_split(counts: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Counts per split, added up from those of its shards, for splits that have shards."""
    totals: dict[str, NDArray[np.int64]] = {}
    for name, shard in counts.items():
        if match := SHARD_NAME.fullmatch(name):
            totals[match[1]] = totals.get(match[1], 0) + shard
    return totals


def missing_classes(counts: Mapping[str, NDArray[np.int64]], classes: Sequence[str]) -> list[str]:
    """Mistakes: classes without an image in a split that has shards."""
    return [
        f"{split}: no image of class {index} ({classes[index]!r}); every split needs every class: "
        "move some there or leave the class out"
        for split, numbers in counts.items()
        for index in np.flatnonzero(numbers == 0).tolist()
    ]


def sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _changes(dataset: Dataset, files: Sequence[Path]) -> list[str]:
    """How the files differ from what `dataset.json` says about them."""
    again = f"copy it again, or, if it is meant, {side_file.made_by(dataset.path)}"
    listed = {shard.file: shard for shard in dataset.shards}
    sizes = {path.name: path.stat().st_size for path in files if SHARD_NAME.fullmatch(path.name)}
    problems = [
        f"{dataset.path / name}: not listed in {SIDE_FILE}; remove it, or "
        f"{side_file.made_by(dataset.path)}"
        for name in sizes.keys() - listed.keys()
    ]
    for name, shard in listed.items():
        if name not in sizes:
            problems.append(f"{dataset.path / name}: missing, {SIDE_FILE} lists it; {again}")
        elif sizes[name] != shard.bytes:
            problems.append(
                f"{dataset.path / name}: {sizes[name]:,} bytes, {SIDE_FILE} says "
                f"{shard.bytes:,}; {again}"
            )
    return problems


def _recounted(dataset: Dataset, counts: Mapping[str, NDArray[np.int64]]) -> list[str]:
    """Mistakes: numbers of rows and labels that differ from what `dataset.json` says."""
    again = side_file.made_by(dataset.path)
    problems = [
        f"{dataset.path / shard.file}: {counts[shard.file].sum()} rows, {SIDE_FILE} says "
        f"{shard.rows}; {again}"
        for shard in dataset.shards
        if shard.file in counts and counts[shard.file].sum() != shard.rows
    ]
    for split, totals in by_split(counts).items():
        if totals.tolist() != list(dataset.counts[split]):
            problems.append(
                f"{split}: its labels count {totals.tolist()}, {SIDE_FILE} says "
                f"{list(dataset.counts[split])}; {again}"
            )
    return problems
