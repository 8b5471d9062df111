"""What does a training step of every token mixer cost as the tokens grow, beside timm's ViT?

    python tests/benchmarks/zoo_steps.py [--variants hydra slab] [--device cuda] [--repeats 7]

Width 128, depth 4, 4 heads, batch 16, images of 224 px in 8, 14 and 28 patches per side. A step
is forward, backward and AdamW. Prints for every variant the median milliseconds and the peak
memory of a step, and the ratio of both to timm's ViT of the same size in the same run.
"""

import argparse
import statistics
import time
from collections.abc import Iterator

import torch
from torch.nn.functional import cross_entropy

from trainables import models
from trainables.efficiency.inputs import Inputs
from trainables.efficiency.memory import training_peak
from trainables.models import vit

GRIDS, IMAGE_SIZE, BATCH = (8, 14, 28), 224, 16
SHELL = {"depth": 4, "dim": 128, "heads": 4}
REFERENCE = "deit3"  # timm's VisionTransformer
WARM_UP = 2


def built(variant: str, grid: int) -> torch.nn.Module:
    known = models.keys(variant)
    params = {name: value for name, value in (SHELL | {"grid": grid}).items() if name in known}
    return models.build(variant, params, image_size=IMAGE_SIZE, num_classes=10)


def step_ms(model: torch.nn.Module, device: torch.device, repeats: int) -> list[float]:
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    images = torch.randn(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE, device=device)
    labels = torch.arange(BATCH, device=device) % 10
    durations = []
    for _ in range(WARM_UP + repeats):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(model(images), labels).backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        durations.append(1e3 * (time.perf_counter() - start))
    return durations[WARM_UP:]


def peak_bytes(variant: str, grid: int, device: torch.device) -> int:
    model = built(variant, grid).to(device)
    inputs = Inputs(3, IMAGE_SIZE, device, torch.float32)
    return training_peak(model, inputs, BATCH, torch.optim.AdamW).allocated_bytes


def costs(
    variant: str, device: torch.device, repeats: int
) -> Iterator[tuple[float, float, float, int]]:
    """Median, least and most milliseconds and the peak bytes of a step, for each grid."""
    for grid in GRIDS:
        torch.manual_seed(0)
        durations = step_ms(built(variant, grid), device, repeats)
        peak = peak_bytes(variant, grid, device)
        yield statistics.median(durations), min(durations), max(durations), peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tokens = [n for n in models.names() if vit.Config in models.kinds(n)] + ["mixer"]
    parser.add_argument("--variants", nargs="+", default=tokens)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    device = torch.device(given.device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads")
    print(f"median (least to most) of {given.repeats} steps; x: ratio to timm's ViT", flush=True)
    reference = list(costs(REFERENCE, device, given.repeats))
    for variant in [REFERENCE, *(v for v in given.variants if v != REFERENCE)]:
        cells = []
        for theirs, (ms, least, most, peak) in zip(
            reference, costs(variant, device, given.repeats), strict=True
        ):
            cells.append(
                f"{ms:7.1f} ms ({least:.1f} to {most:.1f}) {ms / theirs[0]:5.2f}x "
                f"{peak / 2**20:7.1f} MiB {peak / theirs[3]:5.2f}x"
            )
        print(f"{variant:20s} | " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
