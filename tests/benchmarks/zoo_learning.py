"""Does every variant learn? The same short training of each on `digits`, at fp32 and under bf16.

    python tests/benchmarks/zoo_learning.py [--variants performer slab] [--epochs 6]

Width 64, depth 4, 2 heads, 7 x 7 patches at 56 px (networks that are no plain shell: a small
configuration each, below), AdamW at 1e-3 with a cosine, batch 16. Prints for every variant the
training loss of the first and the last epoch and the best validation accuracy.
"""

import argparse
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from trainables import models
from trainables.config import TrialConfig
from trainables.data import locate
from trainables.team import Team
from trainables.trial import Trial
from trainables.trial_log import Line

TASK = {"image_size": 56, "seed": 0, "patience": 100}
RECIPE = {"lr": 1e-3, "schedule": "cosine", "weight_decay": 0.01, "batch_size": 16}
SHELL = {"depth": 4, "dim": 64, "heads": 2, "grid": 7}
# what the sizes above do not fit or say nothing of: few tokens, or no plain shell
OTHERS: dict[str, dict[str, Any]] = {
    "linformer": SHELL | {"k_dim": 16},
    "nystromformer": SHELL | {"landmarks": 16},
    "cait": SHELL | {"layer_scale": 1e-2},
    "deit3": SHELL | {"layer_scale": 1e-2},
    "coat": {"image_size": 64, "dim": 32, "serial_depth": 1, "parallel_depth": 2, "heads": 4},
    "cvt": {"width": 16, "depth_2": 1, "depth_3": 2},
    "efficientformerv2": {"image_size": 64, "width": 0.5, "depth": 0.5},
    "efficientmod": {"dim": 16, "depth": 1, "attention_depth": 1, "layer_scale": 1e-2},
    "efficientvit": {"width": 0.25, "depth": 0.5},
    "fastvit": {"width": 0.25, "depth": 0.5},
    "focalnet": {"width": 32, "depth": 2},
    "halonet": {"image_size": 64, "architecture": "halonet26t"},
    "hivit": {"grid": 28, "dim": 64, "heads": 2, "depth": 2},
    "nextvit": {"groups": 1},
    "resnet": {"depth": 26, "width": 16},
    "rest": {"width": 16, "depth_3": 2},
    "stvit": {"grid": 14, "dim": 32, "heads": 2, "depth": 1, "layer_scale": 1e-1},
    "swiftformer": {"width": 0.5, "depth": 0.5},
    "swin": {"width": 32, "depth": 2, "window": 7},
    "swinv2": {"width": 32, "depth": 2, "window": 7},
    "vit_base": {"image_size": 64},
    "wavevit": {"dim_head": 8, "depth_1": 1, "depth_2": 1, "depth_3": 2, "depth_4": 1},
    "xcit": {"depth": 4, "dim": 64, "heads": 2, "patch": 8},
}
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}


def trained(variant: str, precision: str, data: Path, epochs: int) -> list[Line]:
    """The lines of one training."""
    known = models.keys(variant)
    params = OTHERS.get(variant, {k: v for k, v in SHELL.items() if k in known})
    flat = {**TASK, **RECIPE, "model": variant, "data": str(data), "epochs": epochs, **params}
    lines: list[Line] = []
    dtype = PRECISIONS[precision]
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(TrialConfig.from_flat(flat), Path(folder), Team.current())
        device = trial.team.device.type
        while not trial.finished:
            # a cached cast of a weight would outlive the optimiser's step
            cast = torch.autocast(device, dtype=dtype, cache_enabled=False)
            with cast if dtype else nullcontext():
                lines.append(trial.epoch())
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", nargs="+", default=models.names())
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--data-home", type=Path, default=Path("sweeps/data"))
    given = parser.parse_args()
    data = locate("digits", given.data_home).path.resolve()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {given.epochs} epochs")
    for variant in given.variants:
        for precision in given.precisions:
            start = time.perf_counter()
            lines = trained(variant, precision, data, given.epochs)
            if lines[-1].state != "complete":
                print(f"{variant:20s} {precision}: {lines[-1].reason}", flush=True)
                continue
            first, last = lines[0].metrics, lines[-1].metrics
            beside = [
                f"{metrics['train_auxiliary_loss']:.3f}"
                for metrics in (first, last)
                if "train_auxiliary_loss" in metrics
            ]
            print(
                f"{variant:20s} {precision}: train loss {first['train_loss']:.3f} to "
                f"{last['train_loss']:.3f}, valid top-1 {first['valid_top1']:.3f} to "
                f"{last['best_valid_top1']:.3f}, {time.perf_counter() - start:.0f} s"
                + (f", auxiliary {' to '.join(beside)}" if beside else ""),
                flush=True,
            )


if __name__ == "__main__":
    main()
