"""Raises a limit on GFLOPs that a variant could not keep."""

import math
import random
from dataclasses import replace
from itertools import islice

from search.costs import counts
from search.plan import Plan

_DRAWS = 12
_ROOM = 1.5  # above the cheapest configuration, so that others are left to search


def attainable(plan: Plan) -> Plan:
    """`plan`, with its limit raised if none of a few random configurations keeps it."""
    limit = plan.limits.get("gflops")
    if limit is None:
        return plan
    space, rng, counted = plan.searched, random.Random(plan.seed), counts(plan)
    draws = (space.draw(rng) for _ in range(100 * _DRAWS))
    kept = (params for params in draws if not space.broken(params, plan.image_size))
    cheapest = math.inf
    for params in islice(kept, _DRAWS):
        cheapest = min(cheapest, counted(params).gflops)
        if cheapest <= limit:
            return plan
    raised = float(f"{_ROOM * cheapest:.2g}")
    return replace(plan, limits={**plan.limits, "gflops": raised})
