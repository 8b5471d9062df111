"""The published points that a sweep may try."""

from search.plan import Plan
from spaces.space import Value


def points(plan: Plan) -> dict[str, dict[str, Value]]:
    """Those that lie in the plan's space, the best first, by their source."""
    space, found = plan.searched, dict[str, dict[str, Value]]()
    for point in space.published:
        params = {name: value for name, value in point.params.items() if name in space.params}
        if not space.outside(params):
            found[point.address] = params
    return found
