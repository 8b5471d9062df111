"""Arithmetic that half precision cannot hold: in fp32, whatever runs around it."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import torch

P = ParamSpec("P")


def widened(tensor: torch.Tensor) -> torch.Tensor:
    """`tensor` in fp32 if it is narrower, else as it is."""
    return tensor.float() if tensor.is_floating_point() and tensor.itemsize < 4 else tensor


def full_precision(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`function` of tensors with autocast off and narrow arguments widened to fp32.

    The result comes back in the type of the first argument.
    """

    @wraps(function)
    def island(*tensors: torch.Tensor) -> torch.Tensor:
        with torch.autocast(tensors[0].device.type, enabled=False):
            return function(*map(widened, tensors)).to(tensors[0].dtype)

    return island
