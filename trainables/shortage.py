"""How a lack of memory shows."""

import torch


def out_of_memory(error: Exception) -> bool:
    """Whether PyTorch gave up for want of memory; on the CPU it has no class of its own."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
