"""A finite space, configuration by configuration: for what a sampler no longer comes upon."""

import math
import random
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate

from search.feasibility import Feasibility
from search.record import config_hash
from spaces.space import Choice, Domain, Integer, Real, Space, Value

LARGEST = 200_000  # configurations, each of which takes some microseconds to look at


def enumerable(space: Space) -> bool:
    return space.size <= LARGEST


def untried(
    feasibility: Feasibility, known: Collection[str], seed: int
) -> Iterator[dict[str, Value]]:
    """The searched parameters of what is feasible and not `known` by its hash when its turn comes.

    In a random order that `seed` alone decides, so that a resumed sweep has the same.
    """
    space = feasibility.space
    branches = [{n: values(domain) for n, domain in branch.items()} for branch in space.branches]
    ends = list(accumulate(math.prod(map(len, branch.values())) for branch in branches))
    for place in random.Random(seed).sample(range(ends[-1]), ends[-1]):
        branch = bisect_right(ends, place)
        place -= ends[branch - 1] if branch else 0
        params: dict[str, Value] = {}
        for name, choices in branches[branch].items():
            place, digit = divmod(place, len(choices))
            params[name] = choices[digit]
        if config_hash({**space.fixed, **params}) not in known and feasibility.holds(params):
            yield params


def values(domain: Domain) -> Sequence[Value]:
    """Everything that a finite domain holds."""
    match domain:
        case Integer():
            return range(domain.low, domain.high + 1, domain.step)
        case Choice():
            return domain.values
        case Real() if domain.size == 1:
            return (domain.low,)
        case _:
            raise ValueError(f"{domain} is not finite")
