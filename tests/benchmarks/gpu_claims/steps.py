"""Training steps of two models: a plain eager loop, and what a trial makes of it, in turns."""

from collections.abc import Iterator
from statistics import median
from typing import Any

from tests.benchmarks.gpu_claims.claim import Scale, Tell
from tests.benchmarks.gpu_claims.rendered import galaxies
from tests.benchmarks.training_step import BATCH, ours, plain, seconds
from trainables import models
from trainables.config import TrialConfig
from trainables.data import Dataset
from trainables.team import Team
from trainables.training.learner import Learner
from trainables.training.mixed_precision import half
from trainables.training.pace import Pace

# the log's Linformer of 2.8 M parameters (patch 28), and WTTF's ViT-S/16
SUBJECTS = {"Linformer 2.8 M": ("linformer", "arXiv"), "ViT-S/16": ("vit", "ViT-S/16")}
TOY_SUBJECTS = {
    "tiny ViT": ("vit", {"depth": 1, "dim": 32, "heads": 2, "patch": 16}),
}
HALF = {"mixed_precision": True}
WAYS: dict[str, tuple[dict[str, Any], Pace]] = {
    "ours, fp32": ({}, Pace()),
    "ours, bf16": (HALF, Pace()),
    "ours, fp32, compiled": ({}, Pace(compiled=True)),
    "ours, bf16, compiled": (HALF, Pace(compiled=True)),
}
WARM_UP, STEPS, ROUNDS = 5, 16, 5  # steps before any is timed; steps of a round
TOY_STEPS = 1


def trial_steps(
    scale: Scale, flat: dict[str, Any], recipe: dict[str, Any], pace: Pace
) -> Iterator[None]:
    learner = Learner(TrialConfig.from_flat({**flat, **recipe}), Team(0, 1, scale.device))
    learner.stepper.adopt(pace)
    return ours(learner)


def ways(
    scale: Scale, dataset: Dataset, name: str, params: dict[str, Any], size: int
) -> Iterator[tuple[str, Iterator[None]]]:
    yield "plain eager loop, fp32", plain(dataset, name, params, size, scale.device)
    flat = {"model": name, "data": str(dataset.path), "epochs": 200, "batch_size": BATCH, **params}
    for way, (recipe, pace) in WAYS.items():
        if recipe is not HALF or half(scale.device):
            yield way, trial_steps(scale, flat | {"image_size": size}, recipe, pace)


def compare(scale: Scale, tell: Tell, label: str, name: str, params: dict[str, Any]) -> None:
    dataset, _ = galaxies(scale)
    size, number = (64, TOY_STEPS) if scale.toy else (224, STEPS)
    running: dict[str, Iterator[None]] = {}
    for way, steps in ways(scale, dataset, name, params, size):
        try:
            prepared = seconds(steps, 1 if scale.toy else WARM_UP, scale.device)
        except Exception as error:  # noqa: BLE001 - a way that fails is a row
            tell(f"{label}: {way}", f"failed: {type(error).__name__}: {error}".splitlines()[0])
            continue
        running[way] = steps
        tell(f"{label}: {way}, first steps", f"{prepared:.2f} s each", seconds=prepared)
    if half(scale.device) is None:
        tell(f"{label}: bf16", "not measured: the device has no half precision that is quick")
    times: dict[str, list[float]] = {way: [] for way in running}
    for _ in range(1 if scale.toy else ROUNDS):
        for way, steps in running.items():
            times[way].append(seconds(steps, number, scale.device))
    base = next(iter(times.values()))
    for way, found in times.items():
        ratio = median(plain / own for plain, own in zip(base, found, strict=True))
        step_s = median(found)
        rate = BATCH / step_s
        tell(
            f"{label}: {way}",
            f"{rate:,.0f} images/s, {1e3 * step_s:.2f} ms a step, {ratio:.2f} times the plain loop"
            f" ({1e3 * min(found):.2f} to {1e3 * max(found):.2f} ms)",
            images_per_s=rate,
            ratio=ratio,
            round_seconds=found,
        )


def run(scale: Scale, tell: Tell) -> None:
    for label, (name, row) in (TOY_SUBJECTS if scale.toy else SUBJECTS).items():
        params = dict(models.published(name)[row]) if isinstance(row, str) else row
        compare(scale, tell, label, name, params)
