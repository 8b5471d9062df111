"""What a configuration takes, from its structure alone: operations, memory, a commit's size."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from search.plan import Plan
from spaces.space import Value
from trainables.config import TrialConfig
from trainables.efficiency.subjects import architecture

_FLOAT = 4  # bytes
_ADAM = 4  # copies of the weights in training: themselves, their gradients, two moments
_KEPT = 1.2
"""Of the bytes that a forward pass makes, those that training needs at its peak: 1.20 to 1.23 where
four Linformers at 56 px were measured on a CPU, and the range below is wider for other models."""
MEMORY_RANGE = 0.6, 1.6
COUNTED = "params", "gflops"

Counter = Callable[[Mapping[str, Value]], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of one configuration.

    Attributes:
        gflops: of one image's forward pass, in the convention of `trainables.efficiency`.
        training_bytes: peak of a training step, apart from the process and PyTorch themselves.
        commit_bytes: weights, Adam's moments, and the best epoch's weights.
        weights_bytes: the best epoch's weights alone, which a complete trial keeps.
    """

    gflops: float
    training_bytes: float
    commit_bytes: float
    weights_bytes: float


def counter(plan: Plan) -> Counter:
    """A function that counts what is `COUNTED` of a configuration, each architecture once.

    It raises ValueError if the configuration cannot be built.
    """
    import torch

    from trainables.efficiency import count

    @cache
    def counted(identity: str) -> dict[str, float]:
        with torch.device("meta"):
            model = _built(plan, json.loads(identity))
        counts = count(model, plan.image_size)
        return {"params": float(counts.params), "gflops": counts.gflops}

    return lambda params: counted(json.dumps(architecture(params)))


def _built(plan: Plan, params: Mapping[str, Any]) -> Any:
    from trainables import models

    return models.build(
        plan.searched.model, params, image_size=plan.image_size, num_classes=plan.num_classes
    )


def footprint(plan: Plan, params: Mapping[str, Value], count: Counter) -> Footprint:
    """What a configuration of `plan` takes. Raises ValueError if it cannot be built."""
    from trainables.efficiency.activations import activation_bytes

    config = TrialConfig.from_flat(plan.flat(params))
    counts = count(params)
    made = activation_bytes(_built(plan, architecture(params)), plan.image_size)
    weights = _FLOAT * counts["params"]
    return Footprint(
        gflops=counts["gflops"],
        training_bytes=_ADAM * weights + _KEPT * config.recipe.batch_size * made,
        commit_bytes=4 * weights,
        weights_bytes=weights,
    )
