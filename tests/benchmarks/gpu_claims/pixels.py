"""Training images a second: resident on the GPU and augmented there, beside a DataLoader."""

import itertools
import time
from collections.abc import Callable, Iterator
from statistics import median

import torch

from tests.benchmarks.gpu_claims.claim import Scale, Tell
from tests.benchmarks.gpu_claims.rendered import galaxies
from tests.benchmarks.input_speed import CORES, ours, plain
from trainables.data.pixels import open_pixels

RECIPES = ("galaxy", "deit3")
ROUNDS, RESIDENT_EPOCHS = 3, 5
WORKERS = (0, CORES)


def rate(epochs: Callable[[], Iterator[torch.Tensor]], scale: Scale) -> float:
    scale.wait()
    start, images = time.perf_counter(), 0
    for batch in epochs():
        images += len(batch)
    scale.wait()
    return images / (time.perf_counter() - start)


def run(scale: Scale, tell: Tell) -> None:
    dataset, files = galaxies(scale)
    size = 64 if scale.toy else 224
    pixels = open_pixels(dataset, "train", size, scale.device)
    tell("pixels", f"{pixels.way}: {pixels.why}", way=pixels.way)
    for recipe in RECIPES:
        feed = ours(pixels, dataset, recipe, scale.device)
        epochs = 1 if scale.toy else RESIDENT_EPOCHS
        ways: dict[str, Callable[[], Iterator[torch.Tensor]]] = {
            f"ours, {pixels.way}": lambda feed=feed, epochs=epochs: (
                batch.images for number in range(epochs) for batch in feed.epoch(1 + number)
            )
        }
        for workers in WORKERS:
            loader = plain(files, dataset, recipe, size, workers)
            ways[f"DataLoader, {workers} workers"] = lambda loader=loader: (
                images.to(scale.device, non_blocking=True) for images, _ in loader
            )
        best = 0.0
        for way, made in ways.items():
            for _ in itertools.islice(made(), 4):  # kernels loaded, workers started
                pass
            rates = [rate(made, scale) for _ in range(1 if scale.toy else ROUNDS)]
            found = median(rates)
            told = f"{found:,.0f} images/s ({min(rates):,.0f} to {max(rates):,.0f})"
            tell(f"{recipe}: {way}", told, images_per_s=found, rounds=rates)
            if not way.startswith("ours"):
                best = max(best, found)
            else:
                own = found
        tell(
            f"{recipe}: ours beside the best DataLoader",
            f"{own / best:.1f} times",
            ratio=own / best,
        )
