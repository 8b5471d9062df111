"""Random images to measure with."""

from dataclasses import dataclass
from math import ceil, prod

import torch


@dataclass(frozen=True)
class Inputs:
    """Source of normally distributed images (channels, size, size).

    They are not zeros, since zeros need less power and let some kernels skip work.
    """

    channels: int
    size: int
    device: torch.device
    dtype: torch.dtype

    def batch(self, batch_size: int) -> torch.Tensor:
        """One batch (batch_size, channels, size, size)."""
        return self._draw(1, batch_size)[0]

    def rotation(self, batch_size: int) -> torch.Tensor:
        """Several batches (buffers, batch_size, channels, size, size) to use in turn.

        There are at least two, and together they are more than twice as large as the device's
        cache, so that no batch is still there when its turn comes again.
        """
        batch_bytes = prod((batch_size, *self._shape)) * self.dtype.itemsize
        return self._draw(max(2, ceil(2 * self._cache_bytes / batch_bytes)), batch_size)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.channels, self.size, self.size

    @property
    def _cache_bytes(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.get_device_properties(self.device).L2_cache_size
        return 2 * 2**20  # the second level of a CPU core

    def _draw(self, buffers: int, batch_size: int) -> torch.Tensor:
        generator = torch.Generator(self.device).manual_seed(0)
        shape = (buffers, batch_size, *self._shape)
        return torch.randn(shape, generator=generator, device=self.device, dtype=self.dtype)
