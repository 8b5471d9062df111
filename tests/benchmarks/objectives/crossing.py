"""Ranks cross: larger models end lower and learn slower, as vision transformers do.

The error falls from 0.9 to an asymptote. The asymptote falls with the size of the model, has a
penalty for each hyperparameter's distance from its best value (which moves with the size), and
rises again where the model is large and little regularised. The time constant grows with the size
and with a learning rate below the best one.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from spaces.space import Choice, Integer, Real, Space, Value
from tests.benchmarks.objectives.objective import Objective

TOKENS = 197
SPACE = Space(
    params={
        "depth": Integer(2, 12),
        "dim": Integer(64, 512, step=64),
        "heads": Choice((1, 2, 4, 8)),
        "k_dim": Integer(16, 256, log=True),
        "lr": Real(1e-5, 1e-2, log=True),
        "weight_decay": Real(1e-4, 0.3, log=True),
        "dropout": Real(0.0, 0.4),
    }
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the seed decides. Sizes are shares from 0 to 1, rates and decays decimal logarithms."""

    floor: float
    gain: float
    fall: float
    depth_weight: float
    aspect: float
    knee: float
    head_dim: float
    needs_k: float
    best_lr: float
    lr_falls: float
    best_decay: float
    best_dropout: float
    slow: float
    slower: float
    bend: float

    @classmethod
    def drawn(cls, name: str, seed: int) -> "Shape":
        rng = random.Random(f"{name} {seed}")
        return cls(
            floor=rng.uniform(0.06, 0.14),
            gain=rng.uniform(0.2, 0.3),
            fall=rng.uniform(2.0, 3.5),
            depth_weight=rng.uniform(0.3, 0.7),
            aspect=rng.uniform(-0.4, 0.4),
            knee=rng.uniform(0.45, 0.8),
            head_dim=rng.uniform(24, 96),
            needs_k=rng.uniform(20, 60),
            best_lr=rng.uniform(-3.2, -2.6),
            lr_falls=rng.uniform(0.4, 1.0),
            best_decay=rng.uniform(-3.0, -1.2),
            best_dropout=rng.uniform(0.02, 0.2),
            slow=rng.uniform(0.5, 0.9),
            slower=rng.uniform(1.7, 2.6),
            bend=rng.uniform(0.7, 0.9),
        )


def bounded(distance: float, height: float) -> float:
    """A penalty that is quadratic near 0 and never above `height`."""
    return height * (1 - math.exp(-(distance**2) / 2))


def gflops(params: Mapping[str, Value]) -> float:
    """Billions of multiply-adds of a Linformer of that size."""
    depth, dim, k_dim = float(params["depth"]), float(params["dim"]), float(params["k_dim"])
    return depth * TOKENS * (12 * dim**2 + 4 * k_dim * dim) / 1e9


class Crossing(Objective):
    """One objective; early ranks mislead."""

    name = "crossing"
    space = SPACE

    def __init__(self, seed: int):
        super().__init__(seed)
        self.shape = Shape.drawn(self.name, seed)

    def sizes(self, params: Mapping[str, Value]) -> tuple[float, float, float]:
        """The shares of depth, of width and of capacity, each from 0 to 1."""
        weight = self.shape.depth_weight
        deep = math.log(float(params["depth"]) / 2) / math.log(6)
        wide = math.log(float(params["dim"]) / 64) / math.log(8)
        return deep, wide, weight * deep + (1 - weight) * wide

    def lr_distance(self, params: Mapping[str, Value], capacity: float) -> float:
        """How many decades the learning rate is above the best one for that capacity."""
        best = self.shape.best_lr - self.shape.lr_falls * capacity
        return math.log10(float(params["lr"])) - best

    def asymptote(self, params: Mapping[str, Value]) -> float:
        shape = self.shape
        deep, wide, capacity = self.sizes(params)
        dropout = float(params["dropout"])
        unregularised = max(0.0, capacity - shape.knee - 0.5 * dropout)
        head_dim = float(params["dim"]) / float(params["heads"])
        return (
            shape.floor
            + shape.gain * math.exp(-shape.fall * capacity)
            + 0.02 * (deep - wide - shape.aspect) ** 2
            + 0.4 * unregularised**2
            + 0.01 * math.exp(-float(params["k_dim"]) / shape.needs_k)
            + bounded(math.log2(head_dim / shape.head_dim) / 2, 0.01)
            + bounded(self.lr_distance(params, capacity), 0.25)
            + bounded(math.log10(float(params["weight_decay"])) - shape.best_decay, 0.012)
            + 0.1 * (dropout - shape.best_dropout * (0.5 + capacity)) ** 2
        )

    def left(self, params: Mapping[str, Value], epoch: float) -> float:
        """The share of the way to the asymptote that is still to go."""
        shape, (_, _, capacity) = self.shape, self.sizes(params)
        below = max(0.0, -self.lr_distance(params, capacity))
        slowness = shape.slow * math.exp(shape.slower * capacity) * 10 ** (0.5 * below)
        return math.exp(-((epoch / slowness) ** shape.bend))

    def true(self, params: Mapping[str, Value], epoch: int) -> float:
        asymptote = min(0.9, self.asymptote(params))
        return asymptote + (0.9 - asymptote) * self.left(params, epoch)

    def cost(self, params: Mapping[str, Value]) -> float:
        return 0.2 + gflops(params)
