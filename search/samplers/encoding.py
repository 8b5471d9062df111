"""Parameters as points of a unit cube, so that a model can measure distances between them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spaces.space import Choice, Domain, Integer, Real, Space, Value

_LOG_FROM = 8  # ends that differ by this factor are seen on a logarithmic scale
Array = NDArray[np.float64]


def spans_factors(low: float, high: float) -> bool:
    """Whether factors count between these ends, and not differences."""
    return low > 0 and high / low >= _LOG_FROM


def logarithmic(domain: Integer | Real) -> bool:
    """Whether a domain is seen, and moved in, on a logarithmic scale."""
    return domain.log or spans_factors(domain.low, domain.high)


def are_numbers(values: Sequence[Value]) -> bool:
    """Whether the values of a choice have an order."""
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


class Encoding:
    """Columns for the searched parameters of a space.

    A number has one column from 0 to 1, on a logarithmic scale where its domain says so or spans a
    factor of eight; a choice among numbers has one column of ranks; any other choice has a column
    per value. A parameter without effect in a configuration stands in the middle.
    """

    def __init__(self, space: Space):
        self.space = space
        self._parts = [(name, _Column(domain)) for name, domain in space.params.items()]
        self.width = sum(column.width for _, column in self._parts)

    def __call__(self, configurations: Sequence[Mapping[str, Value]]) -> Array:
        """One row per configuration, shape (configurations, `width`)."""
        rows = [
            [x for name, column in self._parts for x in column.of_value(params.get(name))]
            for params in configurations
        ]
        return np.array(rows, dtype=float).reshape(len(configurations), self.width)


class _Column:
    """How the values of one domain are placed."""

    def __init__(self, domain: Domain):
        self._places, self.width = None, 1
        if isinstance(domain, Choice):
            self._places = _places(domain)
            self.width = len(next(iter(self._places.values())))
            return
        assert isinstance(domain, (Integer, Real))
        self._low, self._high, self._log = domain.low, domain.high, logarithmic(domain)

    def of_value(self, value: Value | None) -> tuple[float, ...]:
        if value is None:
            return (0.5,) * self.width
        if self._places is not None:
            return self._places[value]
        if self._low == self._high:
            return (0.5,)
        if self._log:
            return (math.log(float(value) / self._low) / math.log(self._high / self._low),)
        return ((float(value) - self._low) / (self._high - self._low),)


def _places(domain: Choice) -> dict[Value, tuple[float, ...]]:
    """Ranks for numbers, else corners at a distance of 1 from each other."""
    values = domain.values
    if len(values) == 1:
        return {values[0]: (0.5,)}
    if are_numbers(values):
        ordered = sorted(values, key=float)
        return {value: (i / (len(values) - 1),) for i, value in enumerate(ordered)}
    if len(values) == 2:
        return {values[0]: (0.0,), values[1]: (1.0,)}
    corner = math.sqrt(0.5)
    return {
        value: tuple(corner * (i == j) for j in range(len(values)))
        for i, value in enumerate(values)
    }
