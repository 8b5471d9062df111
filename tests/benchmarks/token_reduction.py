"""Do tokens that are left out save time, or only operations on paper?

    python tests/benchmarks/token_reduction.py [--device cuda] [--batch 8] [--repeats 7]

ViT-S/16 at 224 px beside each way of reducing its tokens, forward passes in turn in one process.
Prints for each GFLOPs and images a second, and the ratio of both to the plain ViT.
"""

import argparse
import statistics
import time
from typing import Any

import torch

from trainables import models
from trainables.efficiency.count import count
from trainables.models.vit import SMALL

IMAGE_SIZE = 224
SHELL = {**SMALL, "qkv_bias": True, "class_position": True}
CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("evit", {"keep_rate": 0.9}),
    ("evit", {"keep_rate": 0.7}),
    ("evit", {"keep_rate": 0.7, "fuse": True}),
    ("dynamicvit", {"keep_rate": 0.9}),
    ("dynamicvit", {"keep_rate": 0.7}),
    ("tome", {"r": 8}),
    ("tome", {"r": 13}),
    ("token_learner", {"insert_share": 0.5}),
    ("token_learner", {"insert_share": 0.75}),
    ("gtp", {"propagated": 8}),
    ("avit", {}),
)


def built(variant: str, params: dict[str, Any], device: torch.device) -> torch.nn.Module:
    torch.manual_seed(0)
    model = models.build(variant, SHELL | params, image_size=IMAGE_SIZE, num_classes=1000)
    return model.eval().to(device)


@torch.inference_mode()
def seconds(model: torch.nn.Module, images: torch.Tensor) -> float:
    start = time.perf_counter()
    model(images)
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    device = torch.device(given.device)
    images = torch.randn(given.batch, 3, IMAGE_SIZE, IMAGE_SIZE, device=device)
    plain = built("vit", {}, device)
    plain_gflops = count(plain, IMAGE_SIZE).gflops
    print(
        f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, "
        f"batch {given.batch}, median of {given.repeats} in turn; "
        f"plain ViT-S/16: {plain_gflops:.2f} GFLOPs"
    )
    for variant, params in CASES:
        model = built(variant, params, device)
        gflops = count(model, IMAGE_SIZE).gflops
        pairs = [(seconds(plain, images), seconds(model, images)) for _ in range(given.repeats + 1)]
        theirs, ours = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
        told = ", ".join(f"{name}={value}" for name, value in params.items()) or "untrained gate"
        print(
            f"{variant:14s} {told:28s} {gflops:5.2f} GFLOPs {gflops / plain_gflops:5.2f}x  "
            f"{given.batch / ours:6.1f} images/s {theirs / ours:5.2f}x  (plain "
            f"{given.batch / theirs:5.1f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
