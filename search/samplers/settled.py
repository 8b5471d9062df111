"""Whether a sweep is settled: what is left to gain is less than the noise.

The rule, of a sampler that says with its decisions what they are expected to gain (`IN_NOISE`): at
each of the last `DECISIONS` at which everything was compared, the largest expected gain of any
paused trial and any new configuration was below 1 / `DECISIONS` of the noise of one training. So as
many trainings as were just decided on, each as good as the best of them, are together expected to
gain less than what two trainings of one configuration differ by.

The noise is the deviation of what a model of all curves can lay to neither configuration nor epoch:
that of a single value and that of a whole trial. The gain of several objectives is compared with
that of an error which is smaller by the noise everywhere.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

DECISIONS = 5
IN_NOISE = "gain_in_noise"  # noted with a decision: the largest gain, in units of the noise


class Settling:
    """Follows the decisions of a sweep, from what is noted with each; so it resumes exactly."""

    def __init__(self):
        self._last: deque[float] = deque(maxlen=DECISIONS)

    def follow(self, why: Mapping[str, Any]) -> None:
        """Know of the next decision; those that did not compare everything say nothing."""
        if IN_NOISE in why:
            self._last.append(why[IN_NOISE])

    @property
    def settled(self) -> bool:
        return len(self._last) == DECISIONS and max(self._last) < 1 / DECISIONS

    @property
    def said(self) -> str:
        """Why the sweep ends, in words."""
        return f"settled: {DECISIONS} more trainings are expected to gain less than the noise"
