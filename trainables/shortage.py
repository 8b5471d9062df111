"""How a lack of memory is recognised."""

import torch


def out_of_memory(error: Exception) -> bool:
    """Whether PyTorch ran out of memory; on the CPU that error has no class of its own."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
