"""How long a sweep will take: from trials of its variant in the home, else from a rule of thumb."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from search.plan import Plan
from search.repeats import BEST
from search.samplers import PUBLISHED, rungs, usual_epochs
from search.sweep_folder import SweepFolder, sweeps
from trainables import trial_log
from trainables.home import Home
from trainables.trial_folder import TrialFolder

if TYPE_CHECKING:  # it imports torch, which the terminal does without
    from search.footprint import Footprint

BACKWARD = 3  # a training step takes as many forward passes, since the backward pass takes two
_TRIALS = 8  # of earlier ones, the newest
# giga-operations (those of `gflops`) a second in training, and by what the truth may differ
_THUMB = {"cpu": (10.0, 5.0), "cuda": (3000.0, 8.0)}
_LEAST_SPREAD = 1.5  # of few earlier trials, which were of other sizes


@dataclass(frozen=True, slots=True)
class Range:
    """A number that is expected, with its lowest and highest."""

    low: float
    usual: float
    high: float

    def __mul__(self, other: "Range") -> "Range":
        return Range(self.low * other.low, self.usual * other.usual, self.high * other.high)

    def at_most(self, most: float) -> "Range":
        return Range(min(self.low, most), min(self.usual, most), min(self.high, most))

    def times(self, factor: float) -> "Range":
        return Range(self.low * factor, self.usual * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Speed:
    """Giga-operations a second of a team of workers in training, and what that rests on."""

    rate: Range
    basis: str


def epochs(plan: Plan) -> Range | None:
    """The epochs of all trials together: at least each one's first pause, at most all in full.

    Those of repeats are added. None if only hours, a target or settling ends the sweep.
    """
    more = BEST * (plan.repeats - 1) * plan.epochs
    if plan.trials is None:
        most = plan.total_epochs
        return None if most is None else Range(most + more, most + more, most + more)
    full = plan.trials * plan.epochs
    pausing = plan.sampler != PUBLISHED and plan.pruner in (None, "pause-halving")
    first = rungs(plan.epochs)[0] if pausing and rungs(plan.epochs) else plan.epochs
    usual = usual_epochs(plan.trials, plan.epochs, plan.sampler) if pausing else full
    found = Range(float(plan.trials * first), min(float(usual), full), float(full))
    found = found.at_most(inf if plan.total_epochs is None else plan.total_epochs)
    return Range(found.low + more, found.usual + more, found.high + more)


def speed(home: Home, plan: Plan, device: str, workers: int) -> Speed:
    """How fast `workers` with a `device` each (`cpu` or `cuda`) train the plan's variant."""
    found = sorted(_rates(home, plan, device))
    if found:
        middle = median(found)
        low = min(found[0], middle / _LEAST_SPREAD)
        high = max(found[-1], middle * _LEAST_SPREAD)
        several = "trial" if len(found) == 1 else "trials"
        basis = f"{len(found)} earlier {several} of {plan.variant} in this home"
        return Speed(Range(low, middle, high).times(workers), basis)
    rate, factor = _THUMB[device]
    basis = f"no trial of {plan.variant} in this home, so a rule of thumb: {rate:g} G operations"
    return Speed(
        Range(rate / factor, rate, rate * factor).times(workers),
        f"{basis} a second of a {device.upper()} worker, {factor:g} times more or less",
    )


def seconds_per_epoch(
    footprints: "Sequence[Footprint]", rows: dict[str, int], rate: Range
) -> Range:
    """Of training and validation, on average over configurations; `rows` has images by split."""
    images = BACKWARD * rows["train"] + rows["valid"]
    work = fmean(each.gflops for each in footprints) * images
    return Range(work / rate.high, work / rate.usual, work / rate.low)


def _rates(home: Home, plan: Plan, device: str) -> Iterator[float]:
    """Giga-operations a second and worker of the newest trials of the variant on such devices."""
    files = [
        SweepFolder.of(home, sweep).trial(key)
        for sweep in sweeps(home)
        if _variant(SweepFolder.of(home, sweep)) == plan.variant
        for key in SweepFolder.of(home, sweep).trained_keys()
    ]
    files.sort(key=lambda each: each.config.stat().st_mtime, reverse=True)
    found = (rate for each in files if (rate := _rate(each, device)) is not None)
    yield from (rate for rate, _ in zip(found, range(_TRIALS), strict=False))


def _variant(folder: SweepFolder) -> str:
    try:
        return Plan.load(folder.plan).variant
    except (OSError, ValueError, TypeError):
        return ""


def _rate(files: TrialFolder, device: str) -> float | None:
    """Of one trial; None if its folder does not tell it."""
    lines = trial_log.read(files.metrics)
    name = "train_images_per_s"
    speeds = [line.metrics[name] for line in lines if name in line.metrics]
    try:
        workers = json.loads(files.provenance.read_text())["workers"]
        flat = json.loads(files.config.read_text())
        if not speeds or workers["device"] != device:
            return None
        return BACKWARD * _gflops(flat) * median(speeds) / workers["count"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _gflops(flat: dict[str, Any]) -> float:
    import torch

    from trainables import models
    from trainables.config import TrialConfig
    from trainables.efficiency import count

    config = TrialConfig.from_flat(flat)
    size = config.task.image_size
    with torch.device("meta"):  # the number of classes hardly counts
        model = models.build(config.task.model, config.params, image_size=size, num_classes=10)
    return count(model, size).gflops
