"""Batch norm over the batches of all workers, for batch-norm layers of any class.

With few images per worker, a batch's mean and variance are noisy, and a model then depends on how
many workers train it. `torch.nn.SyncBatchNorm` exists on GPUs alone and replaces the layers, which
breaks the batch norms of other libraries; here the function behind all of them is replaced.
"""

from typing import Any

import torch
from torch import nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from trainables.models.precision import widened


def uses_batches(model: nn.Module) -> bool:
    """Whether `model` normalises by statistics of the batch when it is trained."""
    return any(
        isinstance(module, _BatchNorm) or getattr(module, "batch_statistics", False)
        for module in model.modules()
    )


class TeamBatchNorm(TorchFunctionMode):
    """In this block, batch norms in training use the mean and variance over all workers' batches.

    All workers must compute the same layers in the same order.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is batch_norm:
            return _normed(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _normed(
    x: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """`torch.nn.functional.batch_norm` of (B, C, ...), over all workers if it trains."""
    if not training:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    wide, dims = widened(x), [0, *range(2, x.dim())]
    channels = (1, -1) + (1,) * (x.dim() - 2)
    own = wide.new_full((1,), wide.numel() / wide.shape[1])
    sums = all_reduce(torch.cat((wide.sum(dims), own)))
    values = sums[-1]
    mean = sums[:-1] / values
    centred = wide - mean.view(channels)
    variance = all_reduce(centred.square().sum(dims)) / values
    _follow(running_mean, mean, momentum)
    _follow(running_var, variance * values / (values - 1).clamp_min(1), momentum)
    normed = centred * (variance + eps).rsqrt().view(channels)
    if weight is not None and bias is not None:
        normed = normed * widened(weight).view(channels) + widened(bias).view(channels)
    return normed.to(x.dtype)


@torch.no_grad()
def _follow(running: torch.Tensor | None, now: torch.Tensor, momentum: float) -> None:
    if running is not None:
        running.lerp_(now.to(running.dtype), momentum)
