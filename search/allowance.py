"""What a sweep may spend, and what else ends it; whichever comes first."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search.record import Record
from search.roster import Roster


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """How much may be trained, and when it is enough.

    Args:
        trials: the most configurations that are trained.
        epochs: the most epochs of all trials; what runs then goes on to its next pause.
        target: a value of the first objective that training shows. The trial that reaches it is
            trained to its end, all others end with their epoch.
        clocks: each says why time is up, or nothing. Then all trials end with their epoch.
    """

    trials: float = math.inf
    epochs: float = math.inf
    target: float | None = None
    clocks: Sequence[Callable[[], str]] = ()

    def over(self, roster: Roster) -> str:
        """Why no trial shall begin or go on, or nothing."""
        if ended := self.ended(roster):
            return ended
        if roster.spent >= self.epochs:
            return f"the {self.epochs:.0f} epochs of the sweep are trained"
        return ""

    def ended(self, roster: Roster) -> str:
        """Why trials end with the epoch that they are in, or nothing."""
        if self._reached(roster, roster.best):
            return "the target is reached"
        return next((said for clock in self.clocks if (said := clock())), "")

    def ends(self, record: Record, roster: Roster) -> str:
        """Why `record` ends with the epoch that it has just trained, or nothing."""
        return "" if self._reached(roster, record.value) else self.ended(roster)

    def _reached(self, roster: Roster, value: float | None) -> bool:
        return value is not None and self.target is not None and roster.as_good(value, self.target)

    def full(self, roster: Roster) -> str:
        """Why no further configuration is wanted, or nothing."""
        if over := self.over(roster):
            return over
        return f"all {self.trials:.0f} trials have ended" if roster.accepted >= self.trials else ""
