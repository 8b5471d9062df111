"""A contact sheet: one PNG with a row of images per class of a data set."""

import itertools
import textwrap
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables import records
from trainables.data.dataset import DataError, Dataset
from trainables.data.decode import DecodeError, decode
from trainables.data.parquet import batches

TILE_PX = 96
LABEL_PX = 150
CHARACTERS = 22
MAX_CLASSES = 40


def draw(dataset: Dataset, path: Path, columns: int = 10) -> None:
    """Draw the first `columns` training images of each class, beside the class's name.

    If there are more than `MAX_CLASSES` classes, only so many are drawn, evenly spaced.
    """
    from PIL import Image, ImageDraw

    drawn = np.linspace(0, dataset.num_classes - 1, min(dataset.num_classes, MAX_CLASSES))
    rows = {label: row for row, label in enumerate(drawn.round().astype(int).tolist())}
    sheet = Image.new("RGB", (LABEL_PX + TILE_PX * columns, TILE_PX * len(rows)), "black")
    pen = ImageDraw.Draw(sheet)
    for label, row in rows.items():
        name = "\n".join(textwrap.wrap(dataset.classes[label], CHARACTERS, max_lines=5))
        pen.text((8, row * TILE_PX + TILE_PX // 2), name, fill="white", anchor="lm")
    for label, column, tile in _tiles(dataset, columns, rows):
        corner = LABEL_PX + column * TILE_PX, rows[label] * TILE_PX
        sheet.paste(Image.fromarray(tile.transpose(1, 2, 0)), corner)
    with records.beside(path) as draft:
        sheet.save(draft, "PNG")


def _tiles(
    dataset: Dataset, columns: int, drawn: Collection[int]
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    counts = enumerate(dataset.class_counts("train"))
    wanted = [min(columns, count) if label in drawn else 0 for label, count in counts]
    placed = [0] * dataset.num_classes
    problems: list[str] = []
    for batch in itertools.chain.from_iterable(
        batches(shard, problems) for shard in dataset.shards_of("train")
    ):
        for index, label in enumerate(batch.labels):
            if placed[label] < wanted[label]:
                try:
                    yield (
                        int(label),
                        placed[label],
                        decode(batch.images[index], TILE_PX, dataset.bits),
                    )
                except DecodeError as error:
                    problems.append(f"{batch.place(index)}: {error}; replace it or drop the row")
                placed[label] += 1
        if placed == wanted or problems:
            break
    if problems:
        raise DataError(problems)
