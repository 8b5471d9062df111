"""How alike two configurations are, from their columns (each from 0 to 1)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def squares(a: Array, b: Array) -> Array:
    """Squared differences by column: (n, m, d)."""
    return (a[:, None, :] - b[None, :, :]) ** 2


def distances(a: Array, b: Array, lengths: Array) -> Array:
    """Squared distances of rows, each column in units of its length: (n, m)."""
    a, b = a / lengths, b / lengths
    both = np.sum(a * a, axis=1)[:, None] + np.sum(b * b, axis=1)[None, :]
    return np.maximum(both - 2 * (a @ b.T), 0.0)


def matern(far: Array) -> Array:
    """Matern 5/2 of squared distances."""
    r = np.sqrt(5 * far)
    return (1 + r + r * r / 3) * np.exp(-r)


def matern_slope(far: Array) -> Array:
    """Its derivative by the squared distance, times -2."""
    r = np.sqrt(5 * far)
    return (5 / 3) * (1 + r) * np.exp(-r)


def polynomial(a: Array, b: Array) -> Array:
    """Covariances of random lines, parabolas and products of two columns: (3, n, m).

    Their sum is a quadratic function whose coefficients are independent. Columns are turned to
    -1 ... 1, and each part has the mean variance 1 over the cube.
    """
    u, v = 2 * a - 1, 2 * b - 1
    width = max(1, a.shape[1])
    lines = u @ v.T
    parabolas = (1.5 * u * u - 0.5) @ (1.5 * v * v - 0.5).T
    products = (lines * lines - (u * u) @ (v * v).T) / 2
    return np.stack([3 * lines, 5 * parabolas, 18 * products / max(1, width - 1)]) / width


def polynomial_variances(x: Array) -> Array:
    """The diagonals of `polynomial`: (3, n)."""
    width = max(1, x.shape[1])
    u = (2 * x - 1) ** 2
    lines = u.sum(axis=1)
    parabolas = ((1.5 * u - 0.5) ** 2).sum(axis=1)
    products = (lines * lines - (u * u).sum(axis=1)) / 2
    return np.stack([3 * lines, 5 * parabolas, 18 * products / max(1, width - 1)]) / width
