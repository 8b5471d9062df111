"""Sums over all workers inside a forward pass, for statistics that must be the whole batch's."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist

_alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """No worker waits for another in this block: a forward pass that the others may not reach."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def pooled(tensor: torch.Tensor) -> torch.Tensor:
    """The sum of every worker's `tensor`, in place and without gradient; all must call it."""
    if dist.is_initialized() and dist.get_world_size() > 1 and not _alone.get():
        dist.all_reduce(tensor)
    return tensor
