"""Losses that a model has beside the one of its logits, such as a balance of its experts.

A module says `add(name, loss)` in its forward pass; whoever trains collects what was said:

    with collected() as losses:
        logits = model(images)

Outside such a block nothing is kept, so evaluation and measuring pay nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_collector: ContextVar[dict[str, torch.Tensor] | None] = ContextVar("auxiliary", default=None)


@contextmanager
def collected() -> Iterator[dict[str, torch.Tensor]]:
    """The auxiliary losses of the forward passes in the block: name to weighted scalar."""
    losses: dict[str, torch.Tensor] = {}
    token = _collector.set(losses)
    try:
        yield losses
    finally:
        _collector.reset(token)


def wanted() -> bool:
    """Whether anybody collects, so that what is only needed for a loss can be left out."""
    return _collector.get() is not None


def add(name: str, loss: torch.Tensor) -> None:
    """Add the weighted scalar `loss` to what is collected as `name`, summed over modules."""
    losses = _collector.get()
    if losses is not None:
        losses[name] = losses[name] + loss if name in losses else loss
