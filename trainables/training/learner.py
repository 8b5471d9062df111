"""A model learning from a data set: one epoch of training, one pass of scoring.

Every random number is drawn from (seed, epoch, purpose), one of a sample also from its place in
the epoch's order, and never from a rank or from what ran before. So order and augmentation do not
depend on the number of workers, and an epoch can be run again.
Letters: B = batch, S = pixels per side.
"""

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from trainables import models
from trainables.config import TrialConfig
from trainables.data import Dataset, open_dataset
from trainables.data.pixels import Pixels, open_pixels
from trainables.heap import keep_freed
from trainables.models.schedule import scheduled, set_progress
from trainables.team import Team
from trainables.training.batch_norm import uses_batches
from trainables.training.feed import Feed, Normalisation
from trainables.training.learning_rate import learning_rate
from trainables.training.randomness import Purpose, seed
from trainables.training.scoring import Score
from trainables.training.stepper import Stepper

EVALUATION_BATCH = 256


@cache
def _dataset(data: str) -> Dataset:
    return open_dataset(Path(data))


@lru_cache(maxsize=6)  # three splits of two stages
def _pixels(
    data: str, split: str, image_size: int, device: torch.device, way: str | None = None
) -> Pixels:
    """The pixels of a split, opened once per process, shared by its trials."""
    threads = torch.get_num_threads()  # as many as this worker may use
    return open_pixels(_dataset(data), split, image_size, device, workers=threads, way=way)


class Learner:
    """The model of a configuration with its optimiser, for one worker of the team.

    Raises:
        ValueError: the model cannot be built.
    """

    def __init__(self, config: TrialConfig, team: Team):
        task = config.task
        self.task, self.recipe, self.team = task, config.recipe, team
        self.dataset = _dataset(task.data)
        if team.device.type == "cpu":
            keep_freed()
        torch.manual_seed(seed(task.seed, Purpose.WEIGHTS))
        self.model = models.build(
            task.model,
            config.params,
            image_size=task.image_size,
            num_classes=self.dataset.num_classes,
        ).to(team.device)
        self.scheduled = scheduled(self.model)
        self.weights = self.recipe.weights(self.dataset.class_counts("train")).to(team.device)
        self._normalised = Normalisation(self.recipe, self.dataset, team.device)
        self.feed = Feed(
            self._split("train"),
            self.recipe,
            self.dataset,
            team,
            seed=task.seed,
            class_weights=self.weights,
            joined=uses_batches(self.model),
        )
        self.stepper = Stepper(self.model, self.recipe, team)
        self._prepared = False

    def _split(self, name: str) -> Pixels:
        """The pixels of a split. All workers stream if one does, since that has another order."""
        wanted = (self.task.data, name, self.task.image_size, self.team.device)
        pixels = _pixels(*wanted)
        streaming = torch.tensor(float(pixels.way == "streamed"), device=self.team.device)
        return _pixels(*wanted, "streamed") if self.team.sum(streaming) else pixels

    @property
    def train_images(self) -> int:
        return self.dataset.rows("train")

    def facts(self) -> dict[str, Any]:
        """What the learner's numbers depend on beside code and machine, ready for JSON."""
        return {
            "data": {"name": self.dataset.name, "sha256": self.dataset.fingerprint},
            "seed": self.task.seed,
            "workers": {"count": self.team.size, "device": self.team.device.type},
            "threads": torch.get_num_threads(),
            "steps": self.stepper.facts(),
            "pixels": self.feed.pixels.why,
        }

    def state(self) -> dict:
        return {"model": self.model.state_dict(), **self.stepper.state()}

    def load(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.stepper.load(state)

    def begin(self, weights: dict[str, torch.Tensor]) -> None:
        """Take over `weights` of another training; weights that they lack stay as they are."""
        self.model.load_state_dict({**self.model.state_dict(), **weights})

    def prepare(self, epoch: int) -> bool:
        """Before the first epoch of a process, find what fits into memory and what is fastest.

        Returns whether anything was tried.
        """
        steps_left = self.feed.steps * (self.task.epochs - epoch + 1)
        tight = self.team.device.type == "cuda" or self.team.size > 1
        measuring = self.stepper.is_worth_measuring(steps_left)
        if self._prepared or not (tight or measuring):
            return False
        self._prepared = True
        self.model.train()
        batch = next(self.feed.epoch(epoch))
        score = Score.empty(self.dataset.num_classes, self.team.device)
        if tight:
            self.stepper.fit_memory(batch, score)
        if measuring:
            self.stepper.hasten(batch, score, steps_left)
        return True

    def train(self, epoch: int) -> tuple[Score, float | None]:
        """Train epoch number `epoch` (from 1).

        Returns the running score, in train mode, and the mean auxiliary loss per step if the model
        has any.
        """
        self.model.train()
        torch.manual_seed(seed(self.task.seed, epoch, Purpose.DROPOUT, self.team.rank))
        score = Score.empty(self.dataset.num_classes, self.team.device)
        auxiliaries = []
        for number, batch in enumerate(self.feed.epoch(epoch)):
            used = epoch - 1 + number / self.feed.steps
            set_progress(self.scheduled, used / self.task.epochs)
            rate = learning_rate(self.recipe, used, self.task.epochs)
            auxiliaries.append(self.stepper.step(batch, rate, score))
        set_progress(self.scheduled, epoch / self.task.epochs)
        self.team.align(self.model)
        return self._pooled(score), self._mean([loss for loss in auxiliaries if loss is not None])

    @torch.inference_mode()
    def score(self, split: str) -> Score:
        """The model's score on `split`, computed by the whole team."""
        pixels = self._split(split)
        labels = pixels.labels.to(self.team.device)
        score = Score.empty(self.dataset.num_classes, self.team.device)
        self.model.eval()
        mine = self.team.places(len(labels))
        batches = list(
            mine.split(min(EVALUATION_BATCH, 4 * (self.stepper.images or EVALUATION_BATCH)))
        )
        for indices, images in zip(batches, pixels.batches(batches), strict=True):
            logits = self.model(self._normalised(images.float().div_(255)))
            answers = labels[indices.to(labels.device)]
            losses = cross_entropy(logits, answers, reduction="none")
            score.add(logits, answers, losses, self.weights[answers])
        return self._pooled(score)

    def _mean(self, losses: list[torch.Tensor]) -> float | None:
        """The mean of all workers' `losses`, None if there are none."""
        if not losses:
            return None
        mean = torch.stack(losses).float().mean()
        return float(self.team.sum(mean.to(self.team.device))) / self.team.size

    def _pooled(self, score: Score) -> Score:
        return Score(self.team.sum(score.confusion), self.team.sum(score.sums))
