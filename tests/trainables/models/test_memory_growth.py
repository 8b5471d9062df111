"""Memory grows with the tokens, not with their square, in every method whose point that is."""

import weakref
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainables import models
from trainables.models import vit

pytestmark = pytest.mark.usefixtures("one_thread")
# a Synthesizer's logits are N x N by definition, and so are GTP's graph and what it sparsifies
QUADRATIC = ("synthesizer_fd", "synthesizer_fr", "gtp")
SHELLS = [name for name in models.names() if vit.Config in models.kinds(name)]
SHELL = {"depth": 1, "dim": 16, "heads": 1, "mlp_dim": 16}
SMALL_GRID, LARGE_GRID = 14, 28  # with a class token 197 and 785 tokens: 4 times as many


class PeakBytes(TorchDispatchMode):
    """The most bytes that the tensors made inside held at a time."""

    def __init__(self):
        super().__init__()
        self.peak = self.now = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor.untyped_storage())
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        if storage in self._seen:
            return
        self._seen.add(storage)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, storage.nbytes())

    def _free(self, size: int) -> None:
        self.now -= size


def peak_bytes(name: str, grid: int) -> int:
    """Of a forward and backward pass of one image."""
    torch.manual_seed(0)
    model = models.build(name, SHELL | {"grid": grid}, image_size=56, num_classes=2)
    with PeakBytes() as held:
        model(torch.ones(1, 3, 56, 56)).sum().backward()
    return held.peak


def test_a_square_of_tokens_is_seen():
    growth = peak_bytes("synthesizer_fr", LARGE_GRID) / peak_bytes("synthesizer_fr", SMALL_GRID)
    assert growth > 8


@pytest.mark.parametrize("name", [name for name in SHELLS if name not in QUADRATIC])
def test_memory_grows_like_the_tokens(name):
    growth = peak_bytes(name, LARGE_GRID) / peak_bytes(name, SMALL_GRID)
    assert growth < 5, f"{growth:.1f} times the memory for 4 times the tokens"
