"""Peak memory of inference and of training, in bytes.

On CUDA it is the most that PyTorch's allocator gave out, including everything that lives on the
device; what the allocator reserved of the device is a second number. On the CPU it is the bytes of
the model's own tensors, plus the rise of the process's resident set.
"""

import gc
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import NamedTuple

import torch

from trainables.efficiency.execution import Setting, running, training
from trainables.efficiency.inputs import Inputs
from trainables.efficiency.resident import resident_rise_bytes
from trainables.efficiency.unmeasurable import UnmeasurableError

_WARM_UP_BATCH = 2  # batch normalisation cannot train on one image

MakeOptimizer = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


class MemoryPeak(NamedTuple):
    """Peak of the memory in use; on CUDA also of the memory that the allocator reserved for it."""

    allocated_bytes: int
    reserved_bytes: int | None


def inference_peak(
    model: torch.nn.Module, inputs: Inputs, batch_size: int, setting: Setting
) -> MemoryPeak:
    """Peak of preparing and doing a forward pass of `batch_size` images, weights included.

    Raises:
        UnmeasurableError: the device cannot do it, or the model is compiled for the CPU, where the
            resident set includes the compiler.
    """
    if setting.mode == "compile" and inputs.device.type == "cpu":
        raise UnmeasurableError("the resident set includes the compiler beside the model")

    def forward(batch_size: int) -> None:
        images = inputs.batch(batch_size)
        with running(model, setting, images) as prepared:
            prepared(images)

    return _peak(forward, batch_size, model, inputs.device)


def training_peak(
    model: torch.nn.Module,
    inputs: Inputs,
    batch_size: int,
    make_optimizer: MakeOptimizer,
    precision: str = "fp32",
) -> MemoryPeak:
    """Peak of training steps (`execution.training`) of `batch_size` images.

    Two steps are done: the first creates the optimiser's state, so only the second has it in memory
    together with the activations. Weights, gradients and state are included. The weights and
    buffers are changed.

    Raises:
        UnmeasurableError: the device has no such precision.
    """

    def train(batch_size: int) -> None:
        optimizer = make_optimizer(model.parameters())
        images = inputs.batch(batch_size)
        with training(model, precision, inputs.device, optimizer) as step:
            for _ in range(2):
                step(images)

    return _peak(train, batch_size, model, inputs.device)


def _peak(
    run: Callable[[int], None], batch_size: int, model: torch.nn.Module, device: torch.device
) -> MemoryPeak:
    """Peak of `run(batch_size)`, after a small batch that makes libraries load what they keep."""
    if device.type == "cuda":
        run(_WARM_UP_BATCH)
        gc.collect()
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        run(batch_size)
        torch.cuda.synchronize(device)
        allocated = torch.cuda.max_memory_allocated(device)
        return MemoryPeak(allocated, torch.cuda.max_memory_reserved(device))
    rise = resident_rise_bytes(partial(run, batch_size), partial(run, _WARM_UP_BATCH))
    weights = sum(tensor.nbytes for tensor in chain(model.parameters(), model.buffers()))
    return MemoryPeak(weights + rise, None)
