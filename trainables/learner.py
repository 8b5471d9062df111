"""A model learning from a data set: one epoch of training, one pass of scoring.

Every random number is drawn from (seed, epoch, purpose), and of a sample from its index too, never
from a rank or from what ran before: order and augmentation do not depend on the number of workers,
and an epoch can be run again. B batch, S pixels a side.
"""

from contextlib import nullcontext
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from trainables import models
from trainables.augment import DRAWS, augmented
from trainables.batch_norm import TeamBatchNorm, uses_batches
from trainables.config import TrialConfig
from trainables.data import Dataset, decoded, open_dataset
from trainables.models import auxiliary
from trainables.models.schedule import scheduled, set_progress
from trainables.models.workers import alone
from trainables.scoring import Score
from trainables.team import Team

EVALUATION_BATCH = 256
_STATEFUL = ("model", "optimizer", "schedule")
_WEIGHTS, _ORDER, _AUGMENT, _DROPOUT = range(4)  # purposes of random numbers


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _generator(*parts: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(*parts))


@cache
def _dataset(data: str) -> Dataset:
    return open_dataset(Path(data))


@cache
def _split(data: str, name: str, image_size: int) -> tuple[np.ndarray, torch.Tensor]:
    """Images (n, 3, S, S) uint8 and labels (n,), opened once a process, shared by its trials."""
    images, labels = decoded(_dataset(data), name, image_size)
    return images, torch.from_numpy(labels)


class Learner:
    """The model of a configuration with its optimiser, one worker's part of the team.

    Raises ValueError if the model cannot be built.
    """

    def __init__(self, config: TrialConfig, team: Team):
        task = config.task
        self.task, self.recipe, self.team = task, config.recipe, team
        self.dataset = _dataset(task.data)
        torch.manual_seed(_seed(task.seed, _WEIGHTS))
        self.model = models.build(
            task.model,
            config.params,
            image_size=task.image_size,
            num_classes=self.dataset.num_classes,
        ).to(team.device)
        self.shared = team.share(self.model)
        self.batched, self.scheduled = uses_batches(self.model), scheduled(self.model)
        self.optimizer = self.recipe.optimizer(self.model)
        self.schedule = self.recipe.scheduler(self.optimizer, task.epochs)
        self.weights = self.recipe.weights(self.dataset.class_counts("train")).to(team.device)
        self.mean = torch.tensor(self.dataset.mean, device=team.device).view(1, -1, 1, 1)
        self.std = torch.tensor(self.dataset.std, device=team.device).view(1, -1, 1, 1)

    @property
    def train_images(self) -> int:
        return self.dataset.rows("train")

    def state(self) -> dict:
        return {part: getattr(self, part).state_dict() for part in _STATEFUL}

    def load(self, state: dict) -> None:
        for part in _STATEFUL:
            getattr(self, part).load_state_dict(state[part])

    def train(self, epoch: int) -> tuple[Score, float | None]:
        """Train epoch number `epoch` (from 1).

        Returns the running score, in train mode, and the mean auxiliary loss a step if the model
        has any.
        """
        images, labels = _split(self.task.data, "train", self.task.image_size)
        seed = self.task.seed
        order = torch.randperm(len(labels), generator=_generator(seed, epoch, _ORDER))
        draws = torch.rand(len(labels), DRAWS, generator=_generator(seed, epoch, _AUGMENT))
        torch.manual_seed(_seed(seed, epoch, _DROPOUT, self.team.rank))
        score = Score.empty(self.dataset.num_classes, self.team.device)
        batches, auxiliaries = self._batches(order), []
        self.shared.train()
        for number, whole in enumerate(batches):
            set_progress(self.scheduled, (epoch - 1 + number / len(batches)) / self.task.epochs)
            own = whole[self.team.rank :: self.team.size]
            # the last batch may be smaller than the team: who has no sample lends a weightless one
            mine = own if len(own) else whole[:1]
            total = self.weights[labels[whole].to(self.team.device)].sum()
            target = labels[mine].to(self.team.device)
            pooling = TeamBatchNorm() if self.batched and self.team.size > 1 else nullcontext()
            with auxiliary.collected() as losses, pooling:
                logits = self.shared(self._augmented(images, mine, draws[mine]))
            loss = cross_entropy(logits, target, self.weights, reduction="sum") / total
            beside = sum(losses.values(), start=torch.zeros((), device=self.team.device))
            self.optimizer.zero_grad(set_to_none=True)
            # a team averages its gradients, so each part of the sum counts `size` times
            ((loss * self.team.size + beside) * bool(len(own))).backward()
            self.optimizer.step()
            if len(own):
                score.add(logits.detach(), target, self.weights)
            auxiliaries += [beside.detach()] * bool(losses)
        set_progress(self.scheduled, epoch / self.task.epochs)
        self.team.align(self.model)
        return self._pooled(score), self._mean(auxiliaries)

    def _batches(self, order: torch.Tensor) -> list[torch.Tensor]:
        """`order` in batches. A last one of one image joins the one before it where it must have
        a variance.
        """
        batches = list(order.split(self.recipe.batch_size))
        if self.batched and len(batches) > 1 and len(batches[-1]) == 1:
            batches[-2:] = [torch.cat(batches[-2:])]
        return batches

    def rehearse(self) -> None:
        """Find out together whether a step fits into memory, before any collective needs all.

        A worker that ran out of memory in the middle of a step would leave the others waiting.
        """
        failed = torch.zeros(1, device=self.team.device)
        kept = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        images, labels = _split(self.task.data, "train", self.task.image_size)
        mine = torch.arange(0, min(self.recipe.batch_size, len(labels)), self.team.size)
        try:
            self.model.train()
            with alone(), auxiliary.collected() as losses:
                logits = self.model(self._augmented(images, mine, torch.rand(len(mine), DRAWS)))
            loss = cross_entropy(logits, labels[mine].to(self.team.device))
            sum(losses.values(), start=loss).backward()
        except torch.OutOfMemoryError:
            failed += 1
        self.optimizer.zero_grad(set_to_none=True)
        for name, buffer in self.model.named_buffers():
            buffer.copy_(kept[name])
        if short := int(self.team.sum(failed)):
            raise torch.OutOfMemoryError(f"on {short} of {self.team.size} workers")

    @torch.inference_mode()
    def score(self, split: str) -> Score:
        """The model's score on `split`, computed by the whole team."""
        images, labels = _split(self.task.data, split, self.task.image_size)
        score = Score.empty(self.dataset.num_classes, self.team.device)
        self.model.eval()
        for mine in torch.arange(self.team.rank, len(labels), self.team.size).split(
            EVALUATION_BATCH
        ):
            logits = self.model(self._normalised(self._pixels(images, mine)))
            score.add(logits, labels[mine].to(self.team.device), self.weights)
        return self._pooled(score)

    def _mean(self, losses: list[torch.Tensor]) -> float | None:
        """The mean of everyone's `losses`, None where there are none."""
        if not losses:
            return None
        mean = torch.stack(losses).float().mean()
        return float(self.team.sum(mean.to(self.team.device))) / self.team.size

    def _pooled(self, score: Score) -> Score:
        return Score(self.team.sum(score.confusion), self.team.sum(score.sums))

    def _pixels(self, images: np.ndarray, indices: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) in [0, 1] on the device."""
        return torch.from_numpy(images[indices.numpy()]).to(self.team.device).float().div_(255)

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels - self.mean) / self.std

    def _augmented(
        self, images: np.ndarray, indices: torch.Tensor, draws: torch.Tensor
    ) -> torch.Tensor:
        pixels = self._pixels(images, indices)
        return self._normalised(
            augmented(pixels, draws.to(self.team.device), self.dataset.symmetries)
        )
