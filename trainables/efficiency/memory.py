"""Peak memory of inference and of training, in bytes.

On CUDA it is what PyTorch's allocator held at most, everything that lives on the device included.
On the CPU it is the bytes of the model's own tensors plus the rise of the process's resident set
above the set before; the kernel counts that set in batches of pages, so it is exact to about a
megabyte.
"""

import ctypes
import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from trainables.efficiency.inputs import Inputs

_WARM_UP_BATCH = 2  # batch normalisation cannot train on one image
_PROCESS = Path("/proc/self")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h

MakeOptimizer = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


class UnmeasurableError(Exception):
    """The machine offers no way to measure this; the message says why."""


def inference_peak_bytes(model: torch.nn.Module, inputs: Inputs, batch_size: int) -> int:
    """Peak of a forward pass of `batch_size` images in evaluation mode, weights included."""

    def forward(batch_size: int) -> None:
        with torch.inference_mode():
            model(inputs.batch(batch_size))

    model.eval()
    return _peak_bytes(forward, batch_size, model, inputs.device)


def training_peak_bytes(
    model: torch.nn.Module, inputs: Inputs, batch_size: int, make_optimizer: MakeOptimizer
) -> int:
    """Peak of training steps (forward, backward, optimiser) of `batch_size` images.

    Two steps are taken: only from the second on does the optimiser's state, which the first one
    creates, stand beside the activations. Weights, gradients and state are included. The weights
    and buffers are changed.
    """

    def train(batch_size: int) -> None:
        optimizer = make_optimizer(model.parameters())
        images = inputs.batch(batch_size)
        with torch.enable_grad():
            for _ in range(2):
                optimizer.zero_grad()
                logits = model(images)
                labels = torch.arange(batch_size, device=images.device) % logits.shape[-1]
                cross_entropy(logits, labels).backward()
                optimizer.step()
        optimizer.zero_grad()

    model.train()
    return _peak_bytes(train, batch_size, model, inputs.device)


def _peak_bytes(
    run: Callable[[int], None], batch_size: int, model: torch.nn.Module, device: torch.device
) -> int:
    """Peak of `run(batch_size)`, after a small batch for what libraries load once and keep."""
    if device.type == "cuda":
        run(_WARM_UP_BATCH)
        gc.collect()
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        run(batch_size)
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    if sys.platform != "linux":
        raise UnmeasurableError(f"{sys.platform} cannot restart the peak of the resident set")
    with _pages_per_tensor() as return_freed_memory:
        run(_WARM_UP_BATCH)
        gc.collect()
        return_freed_memory(0)
        _restart_resident_peak()
        before = _resident_bytes("VmRSS")
        run(batch_size)
        rise = _resident_bytes("VmHWM") - before
    weights = sum(tensor.nbytes for tensor in chain(model.parameters(), model.buffers()))
    return weights + max(0, rise)


@contextmanager
def _pages_per_tensor() -> Iterator[Callable[[int], object]]:
    """Give every new tensor pages of its own, returned to the system when it is freed.

    Left alone, glibc keeps freed memory for reuse: what it kept from before hides what is used
    now, and what it keeps now is no use of the model's. Yields the call that returns what is kept
    (`malloc_trim`). The settings cannot be read back, so afterwards they are those that glibc's
    own adaptation ends at.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_trim"):  # another C library, with settings of its own
        yield lambda _pad: None
        return
    libc.mallopt(_MMAP_THRESHOLD, 64 * 2**10)
    try:
        yield libc.malloc_trim
    finally:
        libc.mallopt(_MMAP_THRESHOLD, 32 * 2**20)
        libc.mallopt(_TRIM_THRESHOLD, 64 * 2**20)


def _restart_resident_peak() -> None:
    """Make VmHWM start again from the present resident set (Linux, proc_pid_clear_refs(5))."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError as error:
        raise UnmeasurableError(
            f"the peak of the resident set cannot be reset on this machine ({error.strerror})"
        ) from error


def _resident_bytes(field: str) -> int:
    for line in (_PROCESS / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise UnmeasurableError(f"the system does not report {field} of a process")
