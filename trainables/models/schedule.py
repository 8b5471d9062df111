"""What changes inside a model while it is trained, as a share of the trial's budget.

Steps and epochs would mean something else in every budget, and early stopping would compare unlike
models. A model that nobody trains behaves as at the end of its schedule.
"""

import torch
from torch import nn


class Scheduled(nn.Module):
    """A module that reads `progress`, a scalar buffer from 0 (untrained) to 1 (trained)."""

    progress: torch.Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("progress", torch.ones(()))


def scheduled(model: nn.Module) -> nn.ModuleList:
    """The scheduled modules of `model`, so that not all are looked through at every step."""
    return nn.ModuleList(module for module in model.modules() if isinstance(module, Scheduled))


def set_progress(model: nn.Module, progress: float) -> None:
    """Tell every scheduled module of `model` which share of the budget is used, 0 to 1."""
    for module in model.modules():
        if isinstance(module, Scheduled):
            module.progress.fill_(progress)
