"""The Gaussian process over learning curves: its slopes, and what it says between and beyond."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from search.samplers.curve_model import (
    CurveModel,
    Points,
    _covariance,
    _loss,
    _variance,
    fit,
    prior,
)
from search.samplers.kernels import squares


def curves(rng, trials, length=9, width=2):
    """Curves that fall towards an end which depends on the columns."""
    x = rng.random((trials, width))
    end = np.sin(3 * x[:, 0]) + x[:, 1] ** 2
    t = np.tile(np.arange(1, length + 1) / length, trials)
    trial = np.repeat(np.arange(trials), length)
    values = end[trial] + 0.7 * (1 + 4 * t) ** -1.0
    return Points(x[trial], t, trial), (values - values.mean()) / values.std(), end


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_the_slope_of_the_loss_is_its_slope(seed, width):
    rng = np.random.default_rng(seed)
    points, values, _ = curves(rng, 4, length=3, width=max(2, width))
    points = Points(points.x[:, :width], points.t, points.trial)
    mean, spread = prior(width)
    theta = mean + 0.7 * spread * rng.standard_normal(len(mean))
    more = (points, values, squares(points.x, points.x), mean, spread)
    found = _loss(theta, *more)[1]
    off = check_grad(lambda t: _loss(t, *more)[0], lambda t: _loss(t, *more)[1], theta)
    assert off < 1e-4 * max(1.0, float(np.linalg.norm(found)))


def test_hyperparameters_have_one_scale_each_and_two_lengths_a_column():
    for width in (1, 2, 7):
        mean, spread = prior(width)
        assert len(mean) == len(spread) == 11 + 2 * width
        assert (spread > 0).all()


def test_a_fit_is_better_than_its_beginning(rng):
    points, values, _ = curves(rng, 8)
    mean, spread = prior(2)
    more = (points, values, squares(points.x, points.x), mean, spread)
    theta = fit(points, values)
    assert _loss(theta, *more)[0] < _loss(mean, *more)[0] - 1
    assert (np.abs(theta - mean) <= 4 * spread + 1e-9).all()
    assert fit(points, values) == pytest.approx(theta, abs=0), "one input, one result"


def test_predictions_go_through_the_values(rng):
    points, values, _ = curves(rng, 8)
    mean, variance = CurveModel(fit(points, values), points, values).predict(points)
    assert mean == pytest.approx(values, abs=0.1)
    assert (variance < 0.05).all()
    assert (variance > 0).all()


def test_the_end_of_a_curve_is_foretold_from_its_beginning(rng):
    """Trained on whole curves of others, a third of a new one says where it leads."""
    points, values, _ = curves(rng, 25)
    known = (points.trial < 20) | (points.t <= 1 / 3)
    seen = Points(points.x[known], points.t[known], points.trial[known])
    model = CurveModel(fit(seen, values[known]), seen, values[known])
    last = (points.trial >= 20) & (points.t == 1)
    mean, _ = model.predict(Points(points.x[last], points.t[last], points.trial[last]))
    assert mean == pytest.approx(values[last], abs=0.15)


def test_more_data_is_less_variance(rng):
    points, values, _ = curves(rng, 12)
    theta = fit(points, values)
    ends = Points(points.x[points.t == 1], np.ones(12), np.arange(12))
    before = np.full(12, np.inf)
    for length in (1, 3, 6, 9):
        some = points.t <= length / 9 + 1e-9
        seen = Points(points.x[some], points.t[some], points.trial[some])
        _, variance = CurveModel(theta, seen, values[some]).predict(ends)
        assert (variance <= before + 1e-9).all()
        before = variance


def test_what_was_never_seen_is_uncertain_and_without_its_own_part_less_so(rng):
    points, values, _ = curves(rng, 8)
    model = CurveModel(fit(points, values), points, values)
    far = Points(np.full((1, 2), 30.0), np.ones(1), np.array([-1]))
    near = Points(points.x[points.t == 1], np.ones(8), np.arange(8))
    _, own = model.predict(far)
    _, without = model.predict(far, own=False)
    assert without < own
    assert own > model.predict(near)[1].max()


def test_a_single_point_is_enough():
    one = Points(np.zeros((1, 2)), np.ones(1), np.array([0]))
    theta = fit(one, np.zeros(1))
    mean, variance = CurveModel(theta, one, np.zeros(1)).predict(one)
    assert np.isfinite(mean).all()
    assert (variance > 0).all()


def test_what_is_said_of_the_variances_is_the_diagonal_of_the_covariances(rng):
    points, _, _ = curves(rng, 5, width=4)
    theta = prior(4)[0] + rng.standard_normal(19)
    found = np.diag(_covariance(theta, points, points))
    assert _variance(theta, points, own=True) == pytest.approx(found)


def test_a_bowl_in_many_columns_is_seen_by_few_trials(rng):
    """Far from each other in eight columns, forty trials show where the best lies."""
    x, centre = rng.random((40, 8)), np.linspace(0.3, 0.7, 8)
    points = Points(x, np.ones(40), np.arange(40))
    values = ((x - centre) ** 2).sum(axis=1)
    values = (values - values.mean()) / values.std()
    model = CurveModel(fit(points, values), points, values)
    ends = Points(np.vstack([centre, rng.random((200, 8))]), np.ones(201), np.full(201, -1))
    mean, _ = model.predict(ends)
    assert np.argmin(mean) == 0
