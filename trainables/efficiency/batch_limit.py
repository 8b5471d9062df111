"""The largest batch that a device can run, and sizes near it that are worth timing."""

import gc
from collections.abc import Callable
from typing import NamedTuple

import torch

from trainables.shortage import out_of_memory

_SHARES = (1, 7 / 8, 3 / 4, 5 / 8)  # down to half, where the powers of two have their say
_MULTIPLE = 16  # to which the matrix units pad


class BatchLimit(NamedTuple):
    """`batch_size` ran (0: none did); nothing larger was found to, for the `reason` given."""

    batch_size: int
    reason: str


def largest_batch(
    run: Callable[[int], object], *, most: int = 2**20, tolerance: float = 0.03
) -> BatchLimit:
    """Search the largest batch size that `run` survives, to within `tolerance` of it.

    Doubles from 1 until a size fails or `most` is reached, then halves the gap. A size has failed
    if `run` raises for want of memory, or with any other RuntimeError when smaller sizes ran (some
    kernels index with 32 bits). What a failed size held is given back before the next one.

    Raises:
        ValueError: `most` or `tolerance` is not positive.
        RuntimeError: the first size failed for another reason than memory: the model's own error.
    """
    if most < 1 or tolerance <= 0:
        raise ValueError(f"most is {most}, tolerance is {tolerance}; both must be positive")
    fitting, size, failing, reason = 0, 1, most + 1, f"{most} images are the most to be tried"
    while failing - fitting > max(1, tolerance * fitting):
        failure = _failure(run, size, none_ran=fitting == 0)
        if failure is None:
            fitting = size
        else:
            failing, reason = size, failure
        doubled = failing > most  # no size has failed yet
        size = min(2 * fitting, most) if doubled else (fitting + failing) // 2
    return BatchLimit(fitting, reason)


def sizes_near(limit: int) -> tuple[int, ...]:
    """Batch sizes to time below a limit n, ascending: n itself, and n, 7n/8, 3n/4 and 5n/8.

    The last four are rounded down to a multiple of 16 where they reach it.
    """
    near = {int(limit * share) for share in _SHARES}
    rounded = {size - size % _MULTIPLE if size >= _MULTIPLE else size for size in near}
    return tuple(sorted((rounded | {limit}) - {0}))


def _failure(run: Callable[[int], object], batch_size: int, *, none_ran: bool) -> str | None:
    """Why `run` failed, or None; the error, whose frames hold tensors, is gone on return."""
    try:
        run(batch_size)
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            reason = f"out of memory at batch size {batch_size}"
        elif none_ran:
            raise
        else:
            reason = f"batch size {batch_size} failed: {error}"
    else:
        return None
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return reason
