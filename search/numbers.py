"""The numbers on the command line of `search.run`: their kinds, least values and meanings."""

import argparse
import math
from collections.abc import Callable
from typing import Any

from search.units import amount

# name, how it is read, least value, what it is
NUMBERS: dict[str, tuple[Callable[[str], float], float, str]] = {
    "trials": (int, 1, "trials to train; a larger number extends a finished sweep"),
    "epochs": (int, 1, "epochs of a trial that is not stopped early"),
    "image_size": (int, 1, "height and width of images in pixels"),
    "max_gflops": (float, 0, "limit on GFLOPs of a forward pass; what breaks it is not trained"),
    "max_params": (amount, 0, "limit on parameters, such as 5M; so for all limits"),
    "max_latency_ms": (float, 0, "limit on the latency of one image on this machine"),
    "max_memory": (amount, 0, "limit on the memory of inference at batch 64, such as 2GB"),
    "min_throughput": (float, 0, "images per second that inference reaches at least"),
    "patience": (int, 1, "epochs without a better validation accuracy that end a trial"),
    "seed": (int, 0, "seed of the search and of every trial"),
    "total_epochs": (int, 1, "epochs of all trials together (no limit)"),
    "hours": (float, 0, "hours that the sweep trains, over all its runs (no limit)"),
    "gpu_hours": (float, 0, "hours of all epochs times the GPUs of a trial (no limit)"),
    "target": (float, 0, "value of the first objective that ends the sweep"),
    "repeats": (int, 1, "trainings in all of each of the best 3, with a seed each (1)"),
    "published": (int, 0, "published points to try first (a quarter of the trials), or `only`"),
    "disk_limit": (amount, 0, "bytes of the trials' folders, such as 20GB (half of what is free)"),
    "lanes": (int, 1, "trials at a time (as many as fit)"),
    "workers": (int, 1, "workers that share a trial (1)"),
    "cpus_per_worker": (float, 0, "CPUs of a worker (1)"),
    "gpus_per_worker": (float, 0, "GPUs of a worker (1 where there are GPUs)"),
    "wait_for_resources": (float, 0, "seconds to wait for nodes that a lane needs (0)"),
}


def read(given: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The numbers by name, None where nothing is given, and all mistakes."""
    numbers: dict[str, Any] = {}
    wrong: list[str] = []
    for name, (kind, least, _) in NUMBERS.items():
        text = getattr(given, name)
        numbers[name] = None
        if text is None:
            continue
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= least):
            expected = "a whole number" if kind is int else "a number"
            option = f"--{name.replace('_', '-')}"
            wrong.append(f"{option} must be {expected} of at least {least}, given {text!r}")
        else:
            numbers[name] = value
    return numbers, wrong
