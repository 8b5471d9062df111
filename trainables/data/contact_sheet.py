"""A contact sheet: a row of images for each class of a data set, as one PNG."""

import itertools
from pathlib import Path

from trainables.data.dataset import DataError, Dataset
from trainables.data.decode import DecodeError, decode
from trainables.data.parquet import batches

TILE_PX = 96
LABEL_PX = 150


def draw(dataset: Dataset, path: Path, columns: int = 10) -> None:
    """Writes the first `columns` training images of each class, beside the class's name."""
    from PIL import Image, ImageDraw

    height = TILE_PX * dataset.num_classes
    sheet = Image.new("RGB", (LABEL_PX + TILE_PX * columns, height), "black")
    pen = ImageDraw.Draw(sheet)
    for label, name in enumerate(dataset.classes):
        pen.text((8, label * TILE_PX + TILE_PX // 2 - 6), name, fill="white")
    for label, column, tile in _tiles(dataset, columns):
        corner = LABEL_PX + column * TILE_PX, label * TILE_PX
        sheet.paste(Image.fromarray(tile.transpose(1, 2, 0)), corner)
    part = path.with_name(f".{path.name}.part")
    sheet.save(part, "PNG")
    part.rename(path)


def _tiles(dataset: Dataset, columns: int):
    wanted = [min(columns, count) for count in dataset.class_counts("train")]
    placed = [0] * dataset.num_classes
    problems: list[str] = []
    for batch in itertools.chain.from_iterable(
        batches(shard, problems) for shard in dataset.shards_of("train")
    ):
        for index, label in enumerate(batch.labels):
            if placed[label] < wanted[label]:
                try:
                    yield int(label), placed[label], decode(batch.images[index], TILE_PX)
                except DecodeError as error:
                    problems.append(f"{batch.place(index)}: {error}; replace it or drop the row")
                placed[label] += 1
        if placed == wanted or problems:
            break
    if problems:
        raise DataError(problems)
