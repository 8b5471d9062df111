"""How a model is trained: the first seed's recipe, as numbers.

Source: the training notebooks behind `galaxy_runs.csv`: Adam without weight decay, StepLR stepped
once an epoch, cross entropy with class weights; no warm-up, no clipping, no mixed precision.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

CLASS_WEIGHTS = ("uniform", "inverse")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Training hyperparameters of a trial.

    `batch_size` is global, over all workers. The learning rate of epoch e (from 0) is
    `lr * gamma ** (e // step_size)`. `class_weights`: `uniform`, or `inverse` to the class's
    share of the training split.
    """

    lr: float = 3e-4
    step_size: int = 5
    gamma: float = 0.9
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
        if self.class_weights not in CLASS_WEIGHTS:
            wrong.append(
                f"class_weights must be one of {', '.join(CLASS_WEIGHTS)}, "
                f"given {self.class_weights!r}"
            )
        return wrong

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        trained = [p for p in model.parameters() if p.requires_grad]
        return torch.optim.Adam(trained, lr=self.lr)

    def schedule(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.StepLR(optimizer, self.step_size, self.gamma)

    def weights(self, class_counts: Sequence[int]) -> torch.Tensor:
        """(classes,) weights of the loss, with mean 1."""
        if self.class_weights == "uniform":
            return torch.ones(len(class_counts))
        inverse = 1 / torch.tensor(class_counts, dtype=torch.float64)
        return (inverse / inverse.mean()).float()
