"""The quick budget's limit is raised for variants that cannot keep it, and for no others."""

import pytest

from search.costs import counts
from search.limits import attainable


@pytest.mark.slow
def test_a_limit_that_can_be_kept_stays(make_plan):
    plan = make_plan(limits={"gflops": 0.08})
    assert attainable(plan) is plan
    unlimited = make_plan()
    assert attainable(unlimited) is unlimited


@pytest.mark.slow
def test_a_limit_that_cannot_be_kept_is_raised_above_the_cheapest(make_plan):
    settings = {"grid": 14, "depth": 12, "dim": 512, "heads": 8, "k_dim": 4, "shared_kv": True}
    plan = make_plan(limits={"gflops": 0.08}, settings=settings)
    raised = attainable(plan)
    cost = counts(plan)(settings).gflops
    assert cost > 0.08
    assert raised.limits["gflops"] == pytest.approx(1.5 * cost, rel=0.05)
    assert raised.differences(plan) == [f"limits: was {raised.limits}, now {plan.limits}"]
