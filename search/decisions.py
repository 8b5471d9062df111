"""What trains next: published points first, then what the sampler says; each decision numbered.

With a decision goes why it was made, and what was news since the one before it: the trials that had
changed, as (number, epoch, state). So each is a function of the sweep's seed, its number, and what
was known, and can be replayed.
"""

import math
import random
from collections.abc import Iterable, Mapping
from typing import Any

from search.feasibility import Feasibility
from search.record import ACCEPTED, Record, State
from search.repeats import REPEAT
from search.roster import Roster
from search.samplers import Resume, Sampler, Start
from search.samplers.candidates import given_up
from search.samplers.settled import Settling
from spaces.space import Value

_BEGUN = (0, State.RUNNING.value)  # what a decision says of the trial that it begins
_DRAWS = 50  # of what a published point leaves open


class Decisions:
    """The decisions of one sweep; with `until_settled` there is none once it is settled."""

    def __init__(
        self,
        sampler: Sampler,
        feasibility: Feasibility,
        roster: Roster,
        *,
        until_settled: bool = False,
    ):
        self._sampler, self._feasibility, self._roster = sampler, feasibility, roster
        self._until_settled, self._settling = until_settled, Settling()
        self._number = 0
        self._known: dict[int, tuple[int, str]] = {}  # of a trial, what the last decision knew
        self._changed: dict[int, Record] = {}  # since then
        self._points: list[tuple[str, dict[str, Value]]] = []
        self._published = math.inf  # how many points may still be tried
        self._silent = False  # the sampler had nothing to say, and nothing has happened since

    def restore(self, earlier: Iterable[Mapping[str, Any]]) -> None:
        """Know of the decisions of a sweep that goes on, and what has changed since the last."""
        for decision in sorted(earlier, key=lambda decision: decision["number"]):
            self._number = decision["number"] + 1
            self._sampler.restore(decision["why"])
            self._settling.follow(decision["why"])
            self._known |= {number: (epoch, state) for number, epoch, state in decision["news"]}
        for record in self._roster.records.values():
            if record.decisions or not record.state.final:  # others were known from the beginning
                self._changed[record.number] = record

    def publish(self, points: Mapping[str, Mapping[str, Value]], count: float) -> None:
        """Have up to `count` of these points tried first, by the name of their source.

        What a source says nothing of is drawn, what has no effect is left out.
        """
        self._silent = False
        self._points += [(name, self._whole(name, params)) for name, params in points.items()]
        tried = sum(bool(record.published) for record in self._roster.records.values())
        self._published = count - tried

    def _whole(self, name: str, params: Mapping[str, Value]) -> dict[str, Value]:
        space, rng = self._feasibility.space, random.Random(name)
        drawn = (space.draw(rng, params) for _ in range(_DRAWS))
        first = next(drawn)
        if first.keys() - space.fixed.keys() <= params.keys() or self._feasibility.holds(first):
            return first
        return next((found for found in drawn if self._feasibility.holds(found)), first)

    def next(self, *, start: bool) -> Start | Resume | None:
        """What trains next; without `start` no new configuration. None if nothing shall now."""
        if self._silent or self.settled:
            return None
        while start and self._points and self._published > 0:
            published, params = self._points.pop(0)
            if not self._roster.knows(params) and self._feasibility.holds(params):
                self._published -= 1
                return Start(params, {"because": "published", "published": published})
        seen = list(self._roster.seen.values())
        decision = self._sampler.ask(seen, self._number, start=start)
        self._silent = decision is None
        return decision

    def noted(self, why: Mapping[str, Any]) -> dict[str, Any]:
        """A decision as it is kept."""
        now = {n: (r.epoch, r.state.value) for n, r in sorted(self._changed.items())}
        news = [[n, *found] for n, found in now.items() if self._known.get(n, _BEGUN) != found]
        noted = {"number": self._number, "why": dict(why), "news": news}
        self._known |= now
        self._settling.follow(why)
        self._number, self._changed = self._number + 1, {}
        return noted

    def happened(self, record: Record) -> None:
        """Something is known of a trial that was not before."""
        self._changed[record.number] = record
        self._silent = False

    @property
    def settled(self) -> str:
        """Why nothing is decided any more, if the sweep was to end when it is settled."""
        return self._settling.said if self._until_settled and self._settling.settled else ""

    def end(self, costly: Mapping[str, int]) -> tuple[str, bool]:
        """Why a sweep that wants more trials gets none, and whether there is no other.

        Of `costly` limits so many are counted as are named there.
        """
        tried = self._roster.accepted
        if self._sampler.ends:
            return f"{self._sampler.ends}: {tried}", bool(tried)
        return given_up(self._feasibility, costly, tried)


def begun(decision: Start, noted: Mapping[str, Any], known: Mapping[str, float]) -> dict[str, Any]:
    """What the study keeps of a trial that a decision begins: `Record.noted` reads it."""
    why = decision.why
    found: dict[str, Any] = {"params": decision.params, ACCEPTED: True, "decisions": [noted]}
    if "published" in why:
        found["published"] = str(why["published"])
    if known:
        found["known"] = dict(known)
    if why["because"] == REPEAT:
        found["repeat"] = {"of": why["of"], "seed": why["seed"]}
    return found
