"""How many augmented images does a core make for training, beside a plain DataLoader?

    python tests/benchmarks/input_speed.py [--recipe galaxy] [--stored 424] [--image-size 224]

Ours is a trial's feed: batches from the decoded cache, augmented on the CPU. The other is an
ImageFolder of the same JPEGs (rendered galaxies, as large as those of Galaxy Zoo 2), decoded and
resized by Pillow and augmented one by one by torchvision, with the number of workers that serves it
best. Both may use all cores of this process and end with normalised float batches. Where a GPU
trains it augments too, and a core has but to gather the batches: that is measured by itself. Rounds
alternate. Prints the median (least to most) images a second a core by the clock, and by CPU time of
all processes, which other load on the machine disturbs less, and the ratios to the best DataLoader.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import chain, repeat
from multiprocessing import get_context
from pathlib import Path

import psutil
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from trainables.data import SPLITS, Dataset, Symmetries, describe
from trainables.data.builtin.galaxies import CLASSES, example
from trainables.data.describe import About
from trainables.data.parquet import write_split
from trainables.data.pixels import Pixels, open_pixels
from trainables.heap import keep_freed
from trainables.recipe import Recipe
from trainables.team import Team
from trainables.training.feed import Feed

BATCH = 64
CORES = len(os.sched_getaffinity(0))
SYMMETRIES = Symmetries(rotation_degrees=90, horizontal_flip=True, vertical_flip=True)
Epoch = Callable[[], Iterator[torch.Tensor]]
Rates = tuple[float, float]  # images a second a core: by the clock, by CPU time


def plain_steps(recipe: str, size: int) -> list[v2.Transform]:
    """What the recipe does to an image, as torchvision has it."""
    if recipe == "galaxy":
        return [
            v2.RandomRotation(90),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomResizedCrop(size, scale=(0.8, 1), ratio=(1 / 1.01, 1.01)),
        ]
    kinds = [v2.Grayscale(3), v2.RandomSolarize(128, 1), v2.GaussianBlur(9, (0.2, 2.0))]
    return [
        v2.RandomCrop(size, padding=4, padding_mode="reflect"),
        v2.RandomHorizontalFlip(),
        v2.RandomChoice(kinds),
        v2.ColorJitter(0.3, 0.3, 0.3),
    ]


def enlarged(split: str, index: int, label: int, size: int) -> bytes:
    """A rendered galaxy, `size` x `size` pixels, compressed as Galaxy Zoo's are (about 15 kB)."""
    image = Image.open(io.BytesIO(example(split, index, label)))
    buffer = io.BytesIO()
    image.resize((size, size), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=91)
    return buffer.getvalue()


def made(folder: Path, images: int, stored: int) -> tuple[Dataset, Path]:
    """The same training images as a data set of ours and as a folder of JPEGs a class."""
    shards, files = folder / "shards", folder / "files"
    shards.mkdir()
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        for split in SPLITS:
            numbers = range(images if split == "train" else len(CLASSES))
            labels = [number % len(CLASSES) for number in numbers]
            jpegs = pool.map(enlarged, repeat(split), numbers, labels, repeat(stored), chunksize=8)
            rows = [
                (jpeg, f"{number}.jpg", label)
                for jpeg, number, label in zip(jpegs, numbers, labels, strict=True)
            ]
            write_split(shards, split, rows, CLASSES)
            for index, (jpeg, _, label) in enumerate(rows if split == "train" else ()):
                path = files / str(label) / f"{index:06d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(jpeg)
    return describe(shards, About(symmetries=SYMMETRIES)), files


def gathered(pixels: Pixels) -> Iterator[torch.Tensor]:
    yield from pixels.batches(pixels.order(torch.Generator().manual_seed(0)).split(BATCH))


def ours(pixels: Pixels, dataset: Dataset, recipe: str, device: torch.device) -> Feed:
    classes = torch.ones(dataset.num_classes)
    chosen = replace(Recipe.filled({"recipe": recipe}), batch_size=BATCH, cutmix=0.0)
    if device.type == "cpu":
        keep_freed()  # as a learner does
    team = Team(0, 1, device)
    return Feed(pixels, chosen, dataset, team, seed=0, class_weights=classes)


def plain(files: Path, dataset: Dataset, recipe: str, size: int, workers: int) -> DataLoader:
    steps = (
        v2.Resize(size, v2.InterpolationMode.BICUBIC),
        *plain_steps(recipe, size),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(list(dataset.mean), list(dataset.std)),
    )
    return DataLoader(
        ImageFolder(str(files), v2.Compose(steps)),
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def cpu_s() -> float:
    """CPU seconds of this process and those it started that still run."""
    this = psutil.Process()
    times = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(spent.user + spent.system for spent in times)


def rates(epoch: Epoch, threads: int) -> Rates:
    torch.set_num_threads(threads)
    cpu, start = cpu_s(), time.perf_counter()
    images = sum(map(len, epoch()))
    seconds, cpu = time.perf_counter() - start, cpu_s() - cpu
    return images / seconds / CORES, images / cpu


def line(name: str, measured: list[Rates]) -> str:
    cells = (
        f"{statistics.median(column):7.1f} ({min(column):.1f} to {max(column):.1f})"
        for column in zip(*measured, strict=True)
    )
    return f"{name:26s} | " + " | ".join(f"{cell:28s}" for cell in cells)


def compare(folder: Path, given: argparse.Namespace) -> None:
    dataset, files = made(folder, given.images, given.stored)
    device, cache, size = torch.device("cpu"), folder / "cache", given.image_size
    pixels = open_pixels(dataset, "train", size, device, cache_dir=cache)
    feed = ours(pixels, dataset, given.recipe, device)
    own: dict[str, Epoch] = {
        "ours": lambda: (batch.images for batch in feed.epoch(1)),
        # twenty epochs: CPU time is counted in hundredths of a second
        "ours, without augmentation": lambda: chain.from_iterable(
            gathered(pixels) for _ in range(20)
        ),
    }
    others: dict[str, Epoch] = {}
    for workers in sorted({0, 1, 2, CORES}):
        loader = plain(files, dataset, given.recipe, size, workers)
        others[f"DataLoader, {workers} workers"] = lambda kept=loader: (first for first, _ in kept)
    for epoch in (own | others).values():  # files into memory, workers started
        for _ in zip(range(2 * CORES + 1), epoch(), strict=False):
            pass
    measured: dict[str, list[Rates]] = {name: [] for name in own | others}
    for _ in range(given.rounds):
        for name, epoch in (own | others).items():
            measured[name].append(rates(epoch, CORES if name in own else 1))
    print(f"{'images a second a core':26s} | {'by the clock':28s} | by CPU time")
    for name, found in measured.items():
        print(line(name, found))
    for number, kind in enumerate(("by the clock", "by CPU time")):
        medians = {name: statistics.median(r[number] for r in measured[name]) for name in measured}
        best = max(medians[name] for name in others)
        for name in own:
            print(f"{name} / best DataLoader, {kind}: {medians[name] / best:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=("galaxy", "deit3"), default="galaxy")
    parser.add_argument(
        "--stored", type=int, default=424, help="height and width of the JPEGs in pixels"
    )
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(
        f"torch {torch.__version__}, {CORES} cores, load {os.getloadavg()[0]:.1f}, "
        f"recipe {given.recipe}, {given.images} images stored at {given.stored} px, trained at "
        f"{given.image_size} px, batches of {BATCH}, {given.rounds} rounds",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), given)


if __name__ == "__main__":
    main()
