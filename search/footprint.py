"""What a configuration takes, from its structure alone: operations, memory, a commit's size."""

from collections.abc import Callable
from dataclasses import dataclass

from search.plan import Plan
from spaces.space import Value
from trainables.config import TrialConfig
from trainables.efficiency import Counts
from trainables.efficiency.subjects import architecture

_FLOAT = 4  # bytes
_ADAM = 4  # copies of the weights in training: themselves, their gradients, two moments
_KEPT = 1.2
"""Of the bytes that a forward pass makes, those that training needs at its peak: 1.20 to 1.23 of
four Linformers at 56 px and 1.04 to 1.41 of two ViTs at 64 px, measured on a CPU. The range below
is wider, for other models."""
MEMORY_RANGE = 0.6, 1.6

Counter = Callable[[dict[str, Value]], Counts]


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


def footprint(plan: Plan, params: dict[str, Value], count: Counter) -> Footprint:
    """What a configuration of `plan` takes, by `search.costs.counts` of the plan.

    Raises ValueError if it cannot be built.
    """
    from trainables import models
    from trainables.efficiency.activations import activation_bytes

    config, counted = TrialConfig.from_flat(plan.flat(params)), count(params)
    model = models.build(
        plan.searched.model,
        architecture(params),
        image_size=plan.image_size,
        num_classes=plan.num_classes,
    )
    made = activation_bytes(model, plan.image_size)
    weights = _FLOAT * counted.params_total
    return Footprint(
        gflops=counted.gflops,
        training_bytes=_ADAM * weights + _KEPT * config.recipe.batch_size * made,
        commit_bytes=4 * weights,
        weights_bytes=weights,
    )
