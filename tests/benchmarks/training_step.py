"""A training step as trials do it beside a plain eager loop, in one run, in turns.

    python tests/benchmarks/training_step.py
    python tests/benchmarks/training_step.py --device cuda --image-size 224

The model is the galaxy paper's Linformer of 2,785,416 parameters (patch 28, batch 64). The plain
loop has the same model, data and augmentation, Adam as PyTorch makes it by default, and reads
images from the same decoded cache; what differs is what this project adds.
"""

import argparse
import itertools
import multiprocessing
import time
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from trainables import models
from trainables.config import TrialConfig
from trainables.data import Dataset, decoded, locate
from trainables.team import Team
from trainables.training.augment import symmetries
from trainables.training.learner import Learner
from trainables.training.scoring import Score

BATCH = 64
MODEL, RUN = "linformer", "arXiv"
PLAIN = "plain"
Params = Mapping[str, Any]
WAYS = {"galaxy": {}, "galaxy, mixed precision": {"mixed_precision": True}}


def plain(
    dataset: Dataset, name: str, params: Params, size: int, device: torch.device
) -> Iterator[None]:
    """Steps of the loop that anybody would write first."""
    torch.manual_seed(0)
    model = models.build(name, params, image_size=size, num_classes=dataset.num_classes)
    model = model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    images, labels = decoded(dataset, "train", size)
    mean = torch.tensor(dataset.mean, device=device).view(1, -1, 1, 1)
    std = torch.tensor(dataset.std, device=device).view(1, -1, 1, 1)
    while True:
        for chosen in torch.randperm(len(labels)).split(BATCH):
            pixels = torch.from_numpy(images[chosen.numpy()]).to(device).float() / 255
            draws = torch.rand(len(chosen), symmetries.DRAWS).to(device)
            batch = (symmetries.augmented(pixels, draws, dataset.symmetries) - mean) / std
            target = torch.from_numpy(labels[chosen.numpy()]).to(device)
            optimizer.zero_grad()
            loss = cross_entropy(model(batch), target)
            loss.backward()
            optimizer.step()
            loss.item()  # the running loss that such loops print
            yield


def ours(learner: Learner) -> Iterator[None]:
    """Steps of a trial, in the way that its stepper is set to."""
    score = Score.empty(learner.dataset.num_classes, learner.team.device)
    learner.model.train()
    for epoch in itertools.count(1):
        for batch in learner.feed.epoch(epoch):
            learner.stepper.step(batch, 3e-4, score)
            yield


def tuned(
    dataset: Dataset, params: Params, given: argparse.Namespace, device: torch.device, **recipe: Any
) -> Iterator[None]:
    """Steps of a trial, in the way that was found quickest."""
    task = {"model": MODEL, "data": str(dataset.path), "epochs": given.epochs}
    flat = {**task, **params, **recipe, "image_size": given.image_size}
    learner = Learner(TrialConfig.from_flat(flat), Team(0, 1, device))
    learner.prepare(1)
    print(f"  {recipe}: {learner.stepper.facts()}", flush=True)
    return ours(learner)


def seconds(steps: Iterator[None], number: int, device: torch.device) -> float:
    start = time.perf_counter()
    for _ in range(number):
        next(steps)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / number


def serve(way: str, given: argparse.Namespace, questions: Connection) -> None:
    """Steps in a process of their own, as many as are asked for; answers with their seconds."""
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    dataset = locate("galaxies", given.data_home)
    params = dict(models.published(MODEL)[RUN])
    steps = (
        plain(dataset, MODEL, params, given.image_size, device)
        if way == PLAIN
        else tuned(dataset, params, given, device, **WAYS[way])
    )
    while number := questions.recv():
        questions.send(seconds(steps, number, device))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--data-home", type=Path, default=Path("sweeps/data"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=200, help="budget that tuning is worth for")
    given = parser.parse_args()
    print(f"torch {torch.__version__}, {given.threads} threads, {given.device}", flush=True)
    context, asked = multiprocessing.get_context("spawn"), {}
    for way in (PLAIN, *WAYS):
        asked[way], other = context.Pipe()
        context.Process(target=serve, args=(way, given, other), daemon=True).start()
    times: dict[str, list[float]] = {way: [] for way in asked}
    for turn in range(1 + given.rounds):
        for way, pipe in asked.items():  # one after the other: nobody disturbs anybody
            pipe.send(given.steps)
            times[way] += [pipe.recv()] * (turn > 0)
    for pipe in asked.values():
        pipe.send(0)
    for way, found in times.items():
        ratio = median(p / o for p, o in zip(times[PLAIN], found, strict=True))
        print(f"{way}: {1e3 * median(found):.1f} ms a step, {ratio:.2f} times as quick as plain")


if __name__ == "__main__":
    main()
