"""The largest batch that a device can run, and sizes near it that are worth timing."""

import gc
from collections.abc import Callable
from typing import NamedTuple

import torch

from trainables.shortage import out_of_memory

_SHARES = (1, 7 / 8, 3 / 4, 5 / 8)  # below, down to a half, the powers of two are close enough
_MULTIPLE = 16  # the matrix units pad to multiples of this


class BatchLimit(NamedTuple):
    """`batch_size` is the largest that ran (0 if none did); `reason` says why no larger one did."""

    batch_size: int
    reason: str


def largest_batch(
    run: Callable[[int], object], *, most: int = 2**20, tolerance: float = 0.03
) -> BatchLimit:
    """Search the largest batch size that runs.

    The size is doubled from 1 until it fails or `most` is reached; then the gap is halved again and
    again. A size has failed if `run` runs out of memory, or raises any other RuntimeError after
    smaller sizes ran (some kernels index with 32 bits). The memory of a failed size is freed before
    the next one is tried.

    Args:
        run: runs a batch of the size that it is given.
        most: the largest size to try.
        tolerance: how far below the largest size the result may be, as a fraction of it.

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
    """Batch sizes to time up to a limit n, ascending: n itself, and n, 7n/8, 3n/4 and 5n/8.

    The last four are rounded down to a multiple of 16 if they are at least 16.
    """
    near = {int(limit * share) for share in _SHARES}
    rounded = {size - size % _MULTIPLE if size >= _MULTIPLE else size for size in near}
    return tuple(sorted((rounded | {limit}) - {0}))


def _failure(run: Callable[[int], object], batch_size: int, *, none_ran: bool) -> str | None:
    """Why `run` failed, or None. The error is not kept, since its frames hold tensors."""
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
