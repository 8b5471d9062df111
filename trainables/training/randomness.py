"""Random numbers that depend on (seed, epoch, purpose, ...) only, never on what ran before.

So order and augmentation do not depend on the number of workers, and an epoch can be run again.
"""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What random numbers are for; each has a stream of its own."""

    WEIGHTS = 0
    ORDER = 1
    AUGMENT = 2
    DROPOUT = 3
    CUTMIX = 4


def seed(*parts: int) -> int:
    """A seed of 63 bits, computed from `parts`."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator(*parts: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed(*parts))
