"""The published points that a sweep may try."""

from search.plan import Plan
from search.samplers import PUBLISHED
from spaces.space import Value


def points(plan: Plan) -> dict[str, dict[str, Value]]:
    """Those that lie in the plan's space, the best first, by their source.

    Where nothing else is tried, what a row says nothing of is as the model has it.
    """
    space, found = plan.searched, dict[str, dict[str, Value]]()
    for point in space.published:
        params = {name: value for name, value in point.params.items() if name in space.params}
        if plan.sampler == PUBLISHED or not space.outside(params):
            found[point.address] = params
    return found


def refused(plan: Plan) -> dict[str, str]:
    """Those that break rules at the plan's image size, by their source, with the rules."""
    space = plan.searched
    found = {p.address: space.broken(p.params, plan.image_size) for p in space.published}
    return {address: "; ".join(broken) for address, broken in found.items() if broken}
