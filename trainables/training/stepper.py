"""The steps of a training: forward and backward passes of a batch, and the optimiser's update."""

import copy
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from trainables.models import auxiliary
from trainables.models.workers import alone
from trainables.recipe import Recipe
from trainables.team import Team
from trainables.training.batch_norm import TeamBatchNorm, uses_batches
from trainables.training.cpu_kernels import CpuKernels
from trainables.training.feed import Batch
from trainables.training.mixed_precision import autocast, half
from trainables.training.optimizer import optimizer
from trainables.training.pace import Pace, candidates, quickest, worth_measuring
from trainables.training.scoring import Score


class Stepper:
    """Trains `model` by a recipe, one batch at a time, in a team.

    `images` is how many of its images a worker takes at a time; None means all. Their gradients are
    added up, so it changes the memory that a step needs and not its result, unless the model
    normalises by batches.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, team: Team):
        self.model, self.recipe, self.team = model, recipe, team
        self.dtype = half(team.device) if recipe.mixed_precision else None
        self.scaler = torch.amp.GradScaler(team.device.type, enabled=self.dtype is torch.float16)
        self.images: int | None = None
        self.measured: dict[str, Any] = {}
        self._batched = uses_batches(model)
        self._shared = team.share(model)
        self.adopt(Pace())

    def adopt(self, pace: Pace) -> None:
        """Run steps at another pace, with a new optimiser."""
        self.pace = pace
        self._layout = torch.channels_last if pace.channels_last else torch.contiguous_format
        self.model.to(memory_format=self._layout)
        self.optimizer = optimizer(self.recipe, self.model, fused=pace.fused)
        self._network = torch.compile(self._shared) if pace.compiled else self._shared

    def state(self) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "pace": self.pace.document(),
            "images": self.images,
            "measured": self.measured,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.adopt(Pace(**state["pace"]))
        self.images, self.measured = state["images"], state["measured"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])

    def facts(self) -> dict[str, Any]:
        """How steps are run, in words, and what was measured to find out."""
        half_precision = None if self.dtype is None else str(self.dtype).removeprefix("torch.")
        return {
            **self.pace.document(),
            "half_precision": half_precision,
            "images_at_a_time": self.images,
            "measured_ms": self.measured,
        }

    def step(self, batch: Batch, rate: float, score: Score) -> torch.Tensor | None:
        """Learn from a batch at learning rate `rate`, and count it in `score`.

        Returns the sum of the model's auxiliary losses, if it has any.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        parts = batch.parts(self.images or batch.most)
        beside = [self._learn(part, batch.own, part is parts[-1], score) for part in parts]
        self._advance()
        found = [loss for loss in beside if loss is not None]
        return torch.stack(found).sum() if found else None

    def _learn(self, part: Batch, own: int, last: bool, score: Score) -> torch.Tensor | None:
        """Add the gradients of a part of a batch; `own` is the worker's images in the whole."""
        with self._syncing(last), auxiliary.collected() as found:
            with self._pooling(), self._kernels(), autocast(self.team.device, self.dtype):
                logits = self._network(part.images.contiguous(memory_format=self._layout))
            logits = logits.float()
            losses = part.losses(logits, self.recipe.label_smoothing)
            loss = (losses * part.weights).sum() / part.total
            beside = sum(found.values(), start=loss.new_zeros(())) * (part.own / max(own, 1))
            # a team averages its gradients, so each part of the sum counts `size` times
            self.scaler.scale(loss * self.team.size + beside).backward()
        mine = slice(part.own)
        if part.own:
            score.add(
                logits.detach()[mine], part.labels[mine], losses.detach()[mine], part.weights[mine]
            )
        return beside.detach() if found else None

    def _syncing(self, last: bool) -> AbstractContextManager[object]:
        """Gradients of a team are averaged once per step, in its last part."""
        if last or not isinstance(self._shared, DistributedDataParallel):
            return nullcontext()
        return self._shared.no_sync()

    def _pooling(self) -> AbstractContextManager[object]:
        rehearsing = self._network is self.model  # then no worker waits for another
        return TeamBatchNorm() if self._batched and not rehearsing else nullcontext()

    def _kernels(self) -> AbstractContextManager[object]:
        """The faster kernels, unless the model is compiled: a compiler has its own."""
        on_cpu = self.team.device.type == "cpu" and not self.pace.compiled
        return CpuKernels() if on_cpu else nullcontext()

    def _advance(self) -> None:
        if self.recipe.clip_grad_norm and self.recipe.optimizer != "lamb":  # which clips itself
            self.scaler.unscale_(self.optimizer)
            trained = [p for group in self.optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(trained, self.recipe.clip_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def fit_memory(self, batch: Batch, score: Score) -> None:
        """Find how many images at a time fit into memory, before any collective needs all workers.

        A worker that ran out of memory in the middle of a step would leave the others waiting.
        Model and optimiser stay as they are.

        Raises:
            OutOfMemoryError: a single image does not fit.
        """
        kept = self.kept()
        network, self._network = self._network, self.model
        self.images = min(self.images or batch.most, batch.most)
        try:
            while short := self._short(batch, score):
                if self.images == 1:
                    raise torch.OutOfMemoryError(f"on {short} of {self.team.size} workers")
                self.images = -(-self.images // 2)
        finally:
            self._network = network
            self.optimizer.zero_grad(set_to_none=True)
            self.restore(kept)

    def _short(self, batch: Batch, score: Score) -> int:
        """How many workers run out of memory in a step of `batch`."""
        failed = torch.zeros(1, device=self.team.device)
        try:
            with alone():
                self.step(batch, 0.0, score)
        except torch.OutOfMemoryError:
            failed += 1
        return int(self.team.sum(failed))

    @property
    def _changes(self) -> list[dict[str, bool]]:
        return candidates(self.model, self.recipe.optimizer)

    def is_worth_measuring(self, steps_left: int) -> bool:
        return not self.measured and worth_measuring(len(self._changes), steps_left)

    def hasten(self, batch: Batch, score: Score, steps_left: int) -> None:
        """Measure at which pace steps are fastest, and go on at that pace.

        Model and optimiser stay as they are.
        """
        kept = self.kept()

        def timed(pace: Pace, steps: int) -> list[float] | str:
            self.adopt(pace)
            try:
                return [self._seconds(batch, score) for _ in range(steps)]
            except Exception as error:  # noqa: BLE001 - a pace that fails is not taken
                return f"{type(error).__name__}: {error}".splitlines()[0]

        best, self.measured = quickest(self._changes, timed, self.team.agree, steps_left)
        self.adopt(best)
        self.restore(kept)

    def _seconds(self, batch: Batch, score: Score) -> float:
        start = time.perf_counter()
        self.step(batch, 0.0, score)
        if self.team.device.type == "cuda":
            torch.cuda.synchronize(self.team.device)
        return time.perf_counter() - start

    def kept(self) -> dict[str, Any]:
        """A copy of everything that steps change, to be restored."""
        return copy.deepcopy({"model": self.model.state_dict(), **self.state()})

    def restore(self, kept: dict[str, Any]) -> None:
        self.model.load_state_dict(kept["model"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.scaler.load_state_dict(kept["scaler"])
