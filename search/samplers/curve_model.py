"""A Gaussian process over learning curves: what a configuration reaches, from what others did.

The value of configuration x after a share t of the epochs is a sum of independent parts (after
Swersky, Snoek and Adams 2014, "Freeze-Thaw Bayesian Optimization"):

    end(x)  +  phi * transient(x)  +  phi * drift  +  own(trial)  +  phi * own transient(trial)

`end` is where curves lead, `transient` how they differ from it while phi, which falls with t as
(1 + t / beta)^-alpha, is large. Both are smooth functions of x (Matern 5/2 with a length scale per
column); `end` is that on top of a quadratic function, since few trials show a bowl in many columns
to a quadratic function, and not to distances alone. `drift` is common to all; the last two belong
to one trial alone. Units: values are standardised; t = 1 is the full length.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from search.samplers.kernels import (
    distances,
    matern,
    matern_slope,
    polynomial,
    polynomial_variances,
    squares,
)

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

# what `theta` begins with, with its prior: mean of the logarithm, and its spread
_PRIORS = {
    "end": (-1.0, 1.5),
    "transient": (2.0, 2.0),
    "drift": (3.0, 2.0),
    "own": (-4.0, 1.5),
    "own_transient": (-2.0, 2.0),
    "noise": (-3.0, 2.0),
    "alpha": (0.7, 0.7),
    "beta": (-1.0, 1.0),
    "lines": (-1.0, 1.5),
    "parabolas": (-1.0, 1.5),
    "products": (-2.0, 1.5),
}
_SCALES = len(_PRIORS)  # the length scales come after these
_POLYNOMIAL = slice(8, _SCALES)
_OFFSET = 1.0  # variance of what is common to all values
_JITTER = 1e-6
_SPREAD = 0.8  # of the prior of a length scale's logarithm
_STEPS = 60  # of the optimiser


@dataclass(frozen=True, slots=True)
class Points:
    """Values of curves: of trial `trial` (n,) with columns `x` (n, d) at share `t` (n,)."""

    x: Array
    t: Array
    trial: Indices

    def __len__(self) -> int:
        return len(self.t)


def prior(width: int) -> tuple[Array, Array]:
    """Means and spreads of the logarithms of all hyperparameters, for `width` columns.

    Length scales grow with the root of the number of columns, as distances do.
    """
    mean, spread = (list(part) for part in zip(*_PRIORS.values(), strict=True))
    lengths = [0.3 + 0.5 * np.log(max(1, width) / 3)] * (2 * width)
    return np.array(mean + lengths), np.array(spread + [_SPREAD] * (2 * width))


def _phi(t: Array, s: Array, alpha: float, beta: float) -> Array:
    """How much of the transients is left; most shares are one of a few levels."""
    (rows, row), (columns, column) = (np.unique(each, return_inverse=True) for each in (t, s))
    table = (1 + (rows[:, None] + columns[None, :]) / beta) ** -alpha
    return table[row[:, None], column[None, :]]


class CurveModel:
    """The process with hyperparameters `theta` (logarithms), given `values` at `points`."""

    def __init__(self, theta: Array, points: Points, values: Array):
        self.theta, self.points = theta, points
        covariance = _covariance(theta, points, points)
        covariance[np.diag_indices(len(points))] += np.exp(theta[5]) + _JITTER
        self._factor = cholesky(covariance, lower=True, check_finite=False)
        self._weights = cho_solve((self._factor, True), values, check_finite=False)

    @property
    def noise(self) -> float:
        """The deviation of a trial's value from what its configuration and its length explain."""
        return float(np.sqrt(np.exp(self.theta[3]) + np.exp(self.theta[5])))

    def predict(self, points: Points, *, own: bool = True) -> tuple[Array, Array]:
        """Means and variances at `points`, without noise.

        Without `own`, the variance leaves out what belongs to a trial alone and was never seen.
        """
        across = _covariance(self.theta, points, self.points)
        mean = across @ self._weights
        solved = solve_triangular(self._factor, across.T, lower=True, check_finite=False)
        before = _variance(self.theta, points, own)
        return mean, np.maximum(before - np.einsum("ij,ij->j", solved, solved), 1e-10)


def _covariance(theta: Array, a: Points, b: Points) -> Array:
    end, transient, drift, own, own_transient, _, alpha, beta = np.exp(theta[:8])
    width = a.x.shape[1]
    lengths = np.exp(theta[_SCALES:])
    phi = _phi(a.t, b.t, alpha, beta)
    total = end * matern(distances(a.x, b.x, lengths[:width])) + _OFFSET
    total += np.tensordot(np.exp(theta[_POLYNOMIAL]), polynomial(a.x, b.x), axes=1)
    total += phi * (transient * matern(distances(a.x, b.x, lengths[width:])) + drift)
    same = a.trial[:, None] == b.trial[None, :]
    return total + same * (own + own_transient * phi)


def _variance(theta: Array, points: Points, own: bool) -> Array:
    end, transient, drift, alone, alone_transient, _, alpha, beta = np.exp(theta[:8])
    phi = (1 + 2 * points.t / beta) ** -alpha
    total = end + _OFFSET + phi * (transient + drift)
    total += np.exp(theta[_POLYNOMIAL]) @ polynomial_variances(points.x)
    return total + (alone + alone_transient * phi if own else 0)


def fit(points: Points, values: Array) -> Array:
    """The most probable hyperparameters, looked for from their prior's mean."""
    mean, spread = prior(points.x.shape[1])
    apart = squares(points.x, points.x)
    bounds = [(m - 4 * s, m + 4 * s) for m, s in zip(mean, spread, strict=True)]
    found = minimize(
        _loss,
        mean,
        args=(points, values, apart, mean, spread),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _STEPS},
    )
    return found.x


def _loss(
    theta: Array, points: Points, values: Array, apart: Array, mean: Array, spread: Array
) -> tuple[float, Array]:
    """The negative logarithm of the posterior, and its gradient."""
    end, transient, drift, own, own_transient, noise, alpha, beta = np.exp(theta[:8])
    n, width = points.x.shape
    lengths = np.exp(theta[_SCALES:])
    lengths_end, lengths_transient = lengths[:width], lengths[width:]
    far_end, far_transient = apart @ lengths_end**-2, apart @ lengths_transient**-2
    ends, slope_end = matern(far_end), matern_slope(far_end)
    transients, slope_transient = matern(far_transient), matern_slope(far_transient)
    base = 1 + (points.t[:, None] + points.t[None, :]) / beta
    phi = base**-alpha
    same = points.trial[:, None] == points.trial[None, :]
    smooth = transient * transients + drift + same * own_transient
    parts, weight = polynomial(points.x, points.x), np.exp(theta[_POLYNOMIAL])
    covariance = end * ends + _OFFSET + phi * smooth + same * own
    covariance += np.tensordot(weight, parts, axes=1)
    covariance[np.diag_indices(n)] += noise + _JITTER
    try:
        factor = cholesky(covariance, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    weights = cho_solve((factor, True), values, check_finite=False)
    inverse = cho_solve((factor, True), np.eye(n), check_finite=False)
    outer = 0.5 * (inverse - np.outer(weights, weights))  # d loss / d covariance
    z = (theta - mean) / spread
    loss = 0.5 * values @ weights + np.log(np.diag(factor)).sum() + 0.5 * z @ z
    slope = np.empty_like(theta)
    weighted = outer * phi
    slope[0] = end * np.sum(outer * ends)
    slope[1] = transient * np.sum(weighted * transients)
    slope[2] = drift * weighted.sum()
    slope[3] = own * outer[same].sum()
    slope[4] = own_transient * weighted[same].sum()
    slope[5] = noise * np.trace(outer)
    by_phi = weighted * smooth
    slope[6] = -alpha * np.sum(by_phi * np.log(base))
    slope[7] = alpha * np.sum(by_phi * (base - 1) / base)
    slope[_POLYNOMIAL] = weight * np.tensordot(parts, outer, axes=2)
    slope[_SCALES : _SCALES + width] = end * _by_length(outer * slope_end, apart, lengths_end)
    slope[_SCALES + width :] = transient * _by_length(
        weighted * slope_transient, apart, lengths_transient
    )
    return float(loss), slope + z / spread


def _by_length(weights: Array, apart: Array, lengths: Array) -> Array:
    n, _, width = apart.shape
    return weights.reshape(n * n) @ apart.reshape(n * n, width) / lengths**2
