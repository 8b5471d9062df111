"""A finite space, configuration by configuration: for what a sampler no longer comes upon."""

import random
from collections.abc import Collection, Iterator, Sequence

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
    domains = {name: values(domain) for name, domain in space.params.items()}
    size = int(space.size)
    for place in random.Random(seed).sample(range(size), size):
        params: dict[str, Value] = {}
        for name, choices in domains.items():
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
