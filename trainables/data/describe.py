"""Writes the side file of a folder of shards: counts, statistics, hashes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data import side_file
from trainables.data.dataset import (
    SIDE_FILE,
    SPLITS,
    WHOLE,
    DataError,
    Dataset,
    Progress,
    Shard,
    Symmetries,
)
from trainables.data.decode import DecodeError, decode, peak, shorter_side
from trainables.data.deep_pixels import bits_for
from trainables.data.folder import (
    by_split,
    inspect_all,
    misnamed,
    missing_classes,
    parquet_files,
    sha256,
)
from trainables.data.parquet import batches, class_names

SAMPLE = 2000
# Statistics need no finer pixels: means do not change, and neighbours differ little.
SAMPLE_PX = 224


@dataclass(frozen=True)
class About:
    """What only a person knows about a data set; `describe` fills in what is None."""

    name: str | None = None
    classes: Sequence[str] | None = None
    symmetries: Symmetries | None = None
    source: str | None = None
    licence: str | None = None
    bits: int | None = None


def describe(
    path: Path,
    about: About | None = None,
    progress: Progress | None = None,
    bits: int | None = None,
) -> Dataset:
    """Scans the shards in `path` and writes `dataset.json` beside them.

    What `about` leaves open is taken from the `dataset.json` that is there, if one is; without one
    class names come from Hugging Face's schema metadata or are "0", "1", ..., symmetries are none,
    and the `bits` of 16-bit images are as many as their highest pixel needs. Mean and standard
    deviation are over up to 2,000 evenly spaced training images. Raises DataError with all mistakes
    of the shards, and then writes nothing.
    """
    files = parquet_files(path)
    problems = misnamed(files)
    if problems:
        raise DataError(problems)
    about = _known(about or About(), path)
    names = about.classes or _schema_classes(files)
    counts, problems = inspect_all(files, len(names) if names else None)
    totals = by_split(counts)
    if names and problems:
        problems.append(
            f"{path}: {len(names)} class names are from {SIDE_FILE} or the shards' schema; "
            "if the labels are right, name the others there"
        )
    if not names:
        names = [str(label) for label in range(_highest_label(totals) + 1)]
        totals = {split: numbers[: len(names)] for split, numbers in totals.items()}
    problems = problems or missing_classes(totals, names)
    if len(names) < 2:
        problems.append(f"{path}: {len(names)} class; a classifier needs two; add images of others")
    if problems:
        raise DataError(problems)
    bits = bits or about.bits or bits_for(max(_peaks(files), default=2**WHOLE - 1))
    mean, std, image_size = _statistics(files, int(totals["train"].sum()), bits, progress)
    dataset = Dataset(
        path=path,
        name=about.name or path.resolve().name,
        classes=tuple(names),
        counts={split: tuple(totals[split].tolist()) for split in SPLITS},
        mean=mean,
        std=std,
        image_size=image_size,
        symmetries=about.symmetries or Symmetries(),
        shards=tuple(
            Shard(file.name, int(counts[file.name].sum()), file.stat().st_size, sha256(file))
            for file in files
        ),
        source=about.source or "unknown",
        licence=about.licence or "unknown",
        bits=bits,
    )
    side_file.write(dataset)
    return dataset


def _known(about: About, path: Path) -> About:
    """`about`, with what it leaves open filled in from an existing `dataset.json`."""
    try:
        before = side_file.read(path)
    except DataError:
        return about
    left_open = [field.name for field in fields(about) if getattr(about, field.name) is None]
    return replace(about, **{name: getattr(before, name) for name in left_open})


def _schema_classes(files: Sequence[Path]) -> list[str] | None:
    import pyarrow as pa

    try:
        return class_names(files[0])
    except (pa.ArrowException, OSError):
        return None  # the inspection will say what is wrong with the file


def _highest_label(totals: Mapping[str, NDArray[np.int64]]) -> int:
    return max(int(np.flatnonzero(numbers).max(initial=0)) for numbers in totals.values())


def _peaks(files: Sequence[Path]) -> Iterator[int]:
    """The highest pixel of every 16-bit image; what cannot be decoded is named elsewhere."""
    for batch in (batch for file in files for batch in batches(file, [])):
        for encoded in batch.images:
            with suppress(DecodeError):
                if (found := peak(encoded)) is not None:
                    yield found


def _statistics(
    files: Sequence[Path], rows: int, bits: int, progress: Progress | None
) -> tuple[tuple[float, float, float], tuple[float, float, float], int]:
    """Mean and standard deviation of RGB (0..1) and the median shorter side in pixels."""
    total = min(rows, SAMPLE)
    wanted = set(np.linspace(0, rows - 1, total).round().astype(int).tolist())
    sums = np.zeros((2, 3))
    pixels, sides, row = 0, [], 0
    problems: list[str] = []
    for batch in (b for f in files if f.name.startswith("train-") for b in batches(f, problems)):
        for index, encoded in enumerate(batch.images):
            row += 1
            if row - 1 not in wanted:
                continue
            try:
                sides.append(shorter_side(encoded))
                image = decode(encoded, min(sides[-1], SAMPLE_PX), bits) / 255
            except DecodeError as error:
                problems.append(f"{batch.place(index)}: {error}; replace the image or drop the row")
                continue
            sums += image.sum(axis=(1, 2)), (image**2).sum(axis=(1, 2))
            pixels += image[0].size
            if progress:
                progress(len(sides), total)
    if problems:
        raise DataError(problems)
    mean = sums[0] / pixels
    std = np.sqrt((sums[1] / pixels - mean**2).clip(1e-6))
    return _rgb(mean), _rgb(std), int(np.median(sides))


def _rgb(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 6) for value in values)
    return red, green, blue
