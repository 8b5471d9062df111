"""The learning rate as a function of the budget used, so that there is no state to restore.

WTTF's released code steps its schedule one epoch late: its first two epochs train at the warm-up's
rate, and the peak is never reached. Here it is reached.
"""

import math

from trainables.recipe import Recipe


def learning_rate(recipe: Recipe, epoch: float, epochs: int) -> float:
    """The rate after `epoch` epochs (from 0, in fractions) of a budget of `epochs`.

    `step` changes at whole epochs. `cosine` rises linearly to `lr` over the warm-up (Table 1 of
    WTTF) and reaches `min_lr` at the end of the budget.
    """
    if recipe.schedule == "step":
        return recipe.lr * recipe.gamma ** (int(epoch) // recipe.step_size)
    used = epoch / epochs
    if used < recipe.warmup_share:
        risen = used / recipe.warmup_share
        return recipe.warmup_lr + (recipe.lr - recipe.warmup_lr) * risen
    left = max(1 - recipe.warmup_share, math.ulp(1.0))
    fallen = (used - recipe.warmup_share) / left
    return recipe.min_lr + (recipe.lr - recipe.min_lr) * (1 + math.cos(math.pi * fallen)) / 2
