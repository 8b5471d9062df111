"""How a model is trained, as numbers. The defaults are the first seed's recipe.

Source: the training notebooks behind `galaxy_runs.csv`: Adam without weight decay, StepLR stepped
once an epoch, cross entropy with class weights; no warm-up, no clipping, no mixed precision. With
weight decay Adam becomes AdamW (Loshchilov and Hutter 2019, algorithm 2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

CLASS_WEIGHTS = ("uniform", "inverse")
SCHEDULES = ("step", "cosine")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Training hyperparameters of a trial.

    `batch_size` is global, over all workers. With the `step` schedule the learning rate of epoch e
    (from 0) is `lr * gamma ** (e // step_size)`, with `cosine` half a cosine from `lr` to 0 over
    the budget. `weight_decay` spares norms, biases and whatever else is a vector or a position.
    `class_weights`: `uniform`, or `inverse` to the class's share of the training split.
    """

    lr: float = 3e-4
    schedule: str = "step"
    step_size: int = 5
    gamma: float = 0.9
    weight_decay: float = 0.0
    batch_size: int = 64
    class_weights: str = "uniform"

    def mistakes(self) -> list[str]:
        wrong = []
        if not (math.isfinite(self.lr) and self.lr > 0):
            wrong.append(f"lr must be a finite number above 0, given {self.lr}")
        if not 0 < self.gamma <= 1:
            wrong.append(f"gamma must lie above 0 and at most at 1, given {self.gamma}")
        for name in ("step_size", "batch_size"):
            if getattr(self, name) < 1:
                wrong.append(f"{name} must be at least 1, given {getattr(self, name)}")
        if not 0 <= self.weight_decay < 1:
            wrong.append(f"weight_decay must lie in [0, 1), given {self.weight_decay}")
        for name, allowed in (("class_weights", CLASS_WEIGHTS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in allowed:
                wrong.append(
                    f"{name} must be one of {', '.join(allowed)}, given {getattr(self, name)!r}"
                )
        return wrong

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        trained = [p for p in model.parameters() if p.requires_grad]
        if not self.weight_decay:
            return torch.optim.Adam(trained, lr=self.lr)
        spared = {id(p) for p in trained if sum(size > 1 for size in p.shape) < 2}
        spared |= {id(p) for name, p in model.named_parameters() if name.endswith("position")}
        groups = [
            {"params": [p for p in trained if id(p) not in spared]},
            {"params": [p for p in trained if id(p) in spared], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.lr, weight_decay=self.weight_decay)

    def scheduler(
        self, optimizer: torch.optim.Optimizer, epochs: int
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """The learning rate over a budget of `epochs`, to be stepped once an epoch."""
        if self.schedule == "step":
            return torch.optim.lr_scheduler.StepLR(optimizer, self.step_size, self.gamma)
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)

    def weights(self, class_counts: Sequence[int]) -> torch.Tensor:
        """(classes,) weights of the loss, with mean 1."""
        if self.class_weights == "uniform":
            return torch.ones(len(class_counts))
        inverse = 1 / torch.tensor(class_counts, dtype=torch.float64)
        return (inverse / inverse.mean()).float()
