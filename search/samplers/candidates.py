"""New configurations that could be trained: drawn at random, or near others."""

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from search.enumeration import enumerable, untried
from search.feasibility import Feasibility
from search.samplers.encoding import are_numbers, logarithmic
from spaces.space import Choice, Domain, Integer, Real, Space, Value

_TRIES = 200  # draws for each configuration that is wanted
Params = dict[str, Value]
Identity = tuple[Value | None, ...]


def identity_of(space: Space, params: Mapping[str, Value]) -> Identity:
    """What tells configurations apart: the searched values that have an effect."""
    found = space.effective(params)
    return tuple(found.get(name) for name in space.params)


class Candidates:
    """Configurations of a space that keep its rules and are neither `known` nor given before.

    Limits are not looked at. Random ones are taken from those that are `ready` first. `rng_seed`
    orders what is left of a finite space, too.
    """

    def __init__(
        self,
        feasibility: Feasibility,
        known: Iterable[Mapping[str, Value]],
        rng_seed: str,
        ready: Sequence[Params] = (),
        identities: Iterable[Identity] = (),
    ):
        self._space = feasibility.space
        self._size = feasibility.image_size
        self._rng = random.Random(rng_seed)
        self._known = {identity_of(self._space, params) for params in known} | set(identities)
        self._ready = ready

    def take(self, params: Params) -> bool:
        """Whether a configuration is one of these; from now on it is known."""
        return not self._space.broken(params, self._size) and self._new(params)

    def _new(self, params: Params) -> bool:
        identity = identity_of(self._space, params)
        if identity in self._known:
            return False
        self._known.add(identity)
        return True

    def fresh(self, count: int) -> list[Params]:
        """Up to `count` configurations, drawn at random; of a small space all that are left."""
        sample = self._rng.sample(self._ready, min(count, len(self._ready)))
        found = [params for params in sample if self._new(params)]
        for _ in range(count * _TRIES):
            if len(found) == count:
                return found
            params = self._space.draw(self._rng)
            if self.take(params):
                found.append(params)
            elif enumerable(self._space) and len(self._known) > self._space.size / 2:
                break
        if enumerable(self._space):
            found += self._rest(count - len(found))
        return found

    def on_grid(self) -> Iterator[Params]:
        """Points of a regular grid in a random order, then of finer ones."""
        for points in (3, 5, 9, 17, 33):
            levels = {name: _levels(d, points) for name, d in self._space.params.items()}
            for _ in range(_TRIES):
                drawn = {name: self._rng.choice(values) for name, values in levels.items()}
                params = self._space.effective({**self._space.fixed, **drawn})
                if self.take(params):
                    yield params

    def _rest(self, count: int) -> Iterator[Params]:
        rules = Feasibility(self._space, self._size)
        everything = untried(rules, (), self._rng.randrange(2**32))
        for params in everything:
            whole = {**self._space.fixed, **params}
            if count and self.take(whole):
                count -= 1
                yield whole

    def near(self, centres: Sequence[Params], count: int, scale: float) -> list[Params]:
        """Up to `count` configurations around each of `centres`, some parameters moved each.

        A move has the standard deviation `scale`, in shares of the domain. What gets an effect by
        the moves of others is drawn.
        """
        found: list[Params] = []
        for centre in centres:
            names = [name for name in self._space.params if name in centre]
            for _ in range(count if names else 0):
                moved = [name for name in names if self._rng.random() < 2 / len(names)]
                params = dict(centre)
                for name in moved or [self._rng.choice(names)]:
                    params[name] = _moved(self._space.params[name], params[name], self._rng, scale)
                params = self._space.effective(params, self._rng)
                if self.take(params):
                    found.append(params)
        return found


def _levels(domain: Domain, points: int) -> list[Value]:
    """Evenly spaced values of a domain; all of a choice."""
    if isinstance(domain, Choice):
        return list(domain.values)
    assert isinstance(domain, (Integer, Real))
    places = [i / (points - 1) for i in range(points)]
    return list(dict.fromkeys(_at(domain, place) for place in places))


def _moved(domain: Domain, value: Value, rng: random.Random, scale: float) -> Value:
    if isinstance(domain, Choice):
        return _neighbour(domain.values, value, rng)
    assert isinstance(domain, (Integer, Real))
    low, high = domain.low, domain.high
    if low == high:
        return value
    forth = math.log if logarithmic(domain) else float
    begin, span = forth(low), forth(high) - forth(low)
    place = (forth(float(value)) - begin) / span + rng.gauss(0, scale)
    found = _at(domain, min(1.0, max(0.0, place)))
    if isinstance(domain, Integer) and found == value:
        found = int(min(high, max(low, int(found) + rng.choice((-domain.step, domain.step)))))
    return found


def _at(domain: Integer | Real, place: float) -> Value:
    """The value at a share of a domain, on the scale in which it is moved in."""
    low, high = domain.low, domain.high
    forth, back = (math.log, math.exp) if logarithmic(domain) else (float, float)
    found = min(high, max(low, back(forth(low) + place * (forth(high) - forth(low)))))
    if isinstance(domain, Real):
        return float(found)
    return int(low + round((found - low) / domain.step) * domain.step)


def _neighbour(values: tuple[Value, ...], value: Value, rng: random.Random) -> Value:
    """Another value; of numbers the next one up or down."""
    if are_numbers(values):
        ordered = sorted(values, key=float)
        place = ordered.index(value) + rng.choice((-1, 1))
        return ordered[min(len(ordered) - 1, max(0, place))]
    return rng.choice(values)


def given_up(feasibility: Feasibility, costly: Mapping[str, int], tried: int) -> tuple[str, bool]:
    """Why nothing new is found after so many trials; and whether there is nothing.

    Else it is said what the nearest of some breaks; of `costly` quantities so many are counted as
    are named there.
    """
    if tried and enumerable(feasibility.space):
        return f"every configuration was tried: {tried}", True
    pool = Candidates(feasibility, (), "refusal")
    rng, draws = random.Random("refusal"), min([50, *costly.values()])
    drawn = pool.fresh(draws) or [feasibility.space.draw(rng) for _ in range(draws)]
    broken = [max(feasibility.excesses(params).values()) for params in drawn]
    excess, said = min(broken)
    detail = f" ({said})" if excess > 0 else ""
    said = f"none was found that is new and keeps all limits{detail}"
    return f"{said}; loosen the limit or widen the space", False
