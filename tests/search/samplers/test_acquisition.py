"""Expected gains against sums and draws that need no formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.stats import norm

from search.samplers.acquisition import Goal, front, improvement, leaders, staircase

WHOLE = st.integers(-5, 5).map(float)  # few values, so that there are ties


def objectives(width):
    shapes = st.integers(1, 12).map(lambda n: (n, width))
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=WHOLE))


@pytest.mark.parametrize("mean", [-1.0, 0.0, 0.7, 4.0])
@pytest.mark.parametrize("deviation", [0.05, 1.0, 3.0])
def test_expected_improvement_is_its_integral(mean, deviation):
    best = 0.3
    wanted, _ = quad(
        lambda y: (best - y) * norm.pdf(y, mean, deviation),
        min(best, mean) - 12 * deviation,
        best,
        points=[mean] if mean < best else None,
    )
    found = improvement(np.array([mean]), np.array([deviation]), best)[0]
    assert found == pytest.approx(max(wanted, 0), abs=1e-7)


def dominated(points, corner):
    """The area below `corner` that points (cost, value) dominate, by its definition."""
    area, right = 0.0, corner[0]
    costs, values = staircase(points[:, 0], points[:, 1])
    for cost, value in zip(costs[::-1], values[::-1], strict=True):
        area += max(0.0, right - cost) * max(0.0, corner[1] - value)
        right = min(right, cost)
    return area


@pytest.mark.parametrize("cost", [0.1, 0.3, 0.45, 0.9])
@pytest.mark.parametrize("mean", [0.1, 0.5])
def test_the_growth_of_the_area_is_what_draws_show(cost, mean):
    costs, values = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.8, 0.5, 0.3, 0.9])
    rng = np.random.default_rng(0)
    goal = Goal(values[:, None], costs[:, None], rng)
    found = goal(np.array([[mean]]), np.array([[0.2]]), np.array([[cost]]))[0]
    known = np.column_stack([costs, values])
    corner = (max(costs.max(), cost), max(np.quantile(values, 0.95), values[0]))
    # what lies to the right of the last step is counted as far as the largest cost
    drawn = rng.normal(mean, 0.2, 4000)
    before = dominated(known, corner)
    growth = [dominated(np.vstack([known, [cost, y]]), corner) - before for y in drawn]
    assert found == pytest.approx(np.mean(growth), abs=4 * np.std(growth) / 60 + 1e-6)


def test_one_objective_is_improved_on_its_best():
    goal = Goal(np.array([[0.5], [0.25]]), np.zeros((2, 0)), np.random.default_rng(0))
    mean, deviation = np.array([[0.1], [0.4]]), np.array([[0.1], [0.1]])
    found = goal(mean, deviation, np.zeros((2, 0)))
    assert found == pytest.approx(improvement(mean[:, 0], deviation[:, 0], 0.25))


@pytest.mark.parametrize(("learned", "known"), [(2, 0), (1, 2), (2, 1), (3, 2)])
def test_more_objectives_gain_where_all_are_better(learned, known):
    rng = np.random.default_rng(1)
    values, costs = rng.random((10, learned)), rng.random((10, known))
    goal = Goal(values, costs, rng)
    better = np.full((1, learned), -1.0), np.full((1, learned), 0.1), np.full((1, known), -1.0)
    worse = np.full((1, learned), 2.0), np.full((1, learned), 0.1), np.full((1, known), 2.0)
    assert goal(*better)[0] > 0.1
    assert goal(*worse)[0] < 1e-3
    assert (
        goal(rng.random((5, learned)), np.full((5, learned), 0.2), rng.random((5, known))) >= 0
    ).all()


def test_objectives_that_never_vary_are_no_harm():
    goal = Goal(np.ones((4, 2)), np.ones((4, 1)), np.random.default_rng(0))
    assert np.isfinite(goal(np.ones((3, 2)), np.full((3, 2), 0.1), np.ones((3, 1)))).all()
    goal = Goal(np.ones((4, 1)), np.ones((4, 1)), np.random.default_rng(0))
    assert np.isfinite(goal(np.ones((3, 1)), np.full((3, 1), 0.1), np.ones((3, 1)))).all()


@given(objectives(3))
def test_nothing_on_a_front_is_beaten_and_all_else_is(found):
    on = front(found)
    assert on
    for i, row in enumerate(found):
        beaten = any(np.all(o <= row) and np.any(o < row) for o in found)
        assert (i in on) == (not beaten)


@given(objectives(2))
def test_a_staircase_is_the_front_without_repeats(found):
    costs, values = staircase(found[:, 0], found[:, 1])
    assert (np.diff(costs) > 0).all()
    assert (np.diff(values) < 0).all()
    wanted = {tuple(found[i]) for i in front(found)}
    assert set(zip(costs.tolist(), values.tolist(), strict=True)) == wanted


@given(objectives(1), st.integers(1, 8))
def test_leaders_of_one_objective_are_the_least(found, count):
    led = leaders(found, count)
    assert len(led) == len(set(led)) == min(count, len(found))
    assert sorted(found[led, 0]) == sorted(found[:, 0])[: len(led)]


@given(objectives(2), st.integers(1, 8))
def test_leaders_of_several_are_of_the_front_while_it_lasts(found, count):
    led, on = leaders(found, count), front(found)
    assert len(led) == len(set(led)) == min(count, len(found))
    if len(on) >= count:
        assert set(led) <= set(on)
