"""Configurations as a model sees them: their parameters, and what is known of their cost."""

import json
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.samplers import Quantity, Task
from search.samplers.candidates import Params
from search.samplers.encoding import Encoding, spans_factors

Array = NDArray[np.float64]
Counted = tuple[str, Params, float]  # the quantity, the configuration, the value
_DRAWS = 200  # configurations that show how a quantity is spread
_RIDGE = 1e-4


class Features:
    """The encoded parameters, and a column for each quantity known before training.

    The `draws` show how quantities are spread; they are encoded once. A quantity that is positive
    and spread over a factor of eight is seen on a logarithmic scale. A costly one is estimated from
    the values so far, by least squares over the columns, their squares and products (a cost is
    nearly a product of powers of sizes).
    """

    def __init__(self, task: Task, draws: Sequence[Params], counted: Sequence[Counted] = ()):
        self._encode = Encoding(task.feasibility.space)
        limits = task.feasibility.constraints
        functions = {name: quantity for name, (quantity, _) in limits.items()} | dict(task.known)
        self._columns = {
            name: _Column(name, function, task.costly.get(name), self._encode)
            for name, function in functions.items()
        }
        for name, params, value in counted:
            if name in self._columns:
                self._columns[name].recall(params, value)
        self._draws = draws  # kept, so that no other configuration gets the id of one of them
        self._ready = dict(zip(map(id, draws), self._encode(draws), strict=True))
        self._limits = {name: limit for name, (_, limit) in limits.items()}
        self._cheapest = sorted(
            self._columns, key=lambda name: -task.costly.get(name, len(self._draws))
        )
        self._spread()

    def _spread(self) -> None:
        """Find the scale of each column; the costliest see only what keeps the limits of others."""
        kept = list(self._draws)
        for name in self._cheapest:
            self._columns[name].spread(kept)
            if name in self._limits:
                kept = self.within(kept, (name,)) or kept

    @property
    def width(self) -> int:
        return self._encode.width + len(self._columns)

    def __call__(self, configurations: Sequence[Params]) -> Array:
        """One row per configuration, shape (configurations, `width`)."""
        x = self._encoded(configurations)
        costs = [column.scaled(configurations, x) for column in self._columns.values()]
        return np.column_stack([x, *costs])

    def of_parameters(self, configurations: Sequence[Params]) -> Array:
        """The same of parameters alone: what is known of their cost stands in the middle.

        An estimate would be another one when the sweep goes on.
        """
        middle = np.full((len(configurations), len(self._columns)), 0.5)
        return np.hstack([self._encoded(configurations), middle])

    def _encoded(self, configurations: Sequence[Params]) -> Array:
        missing = [params for params in configurations if id(params) not in self._ready]
        rows = iter(self._encode(missing))
        found = [self._ready[id(p)] if id(p) in self._ready else next(rows) for p in configurations]
        return np.array(found).reshape(len(configurations), self._encode.width)

    def quantity(self, name: str, configurations: Sequence[Params]) -> Array:
        """The values of a quantity, estimated where it is costly and they are not known."""
        column = self._columns[name]
        return column.values(configurations, self._encoded(configurations))

    def within(
        self, configurations: Sequence[Params], names: Sequence[str] | None = None
    ) -> list[Params]:
        """Those that keep limits (all, or these), as far as is known without costly counting."""
        kept = np.ones(len(configurations), dtype=bool)
        for name in self._limits if names is None else names:
            kept &= self.quantity(name, configurations) <= self._limits[name]
        return [params for params, keeps in zip(configurations, kept, strict=True) if keeps]

    def news(self) -> list[Counted]:
        """The costly quantities that were counted since the last call."""
        return [counted for column in self._columns.values() for counted in column.news()]

    def learn(self, params: Params) -> None:
        """Have the exact quantities of a configuration from now on."""
        for column in self._columns.values():
            column.learn(params)

    def keeps(self, params: Params) -> bool:
        """Whether a configuration keeps all limits, by exact quantities, which are kept.

        The cheapest come first, and those behind a broken limit are not counted.
        """
        for name in self._cheapest:
            value = self._columns[name].learn(params)
            if name in self._limits and not value <= self._limits[name]:
                return False
        return True


class _Column:
    """One quantity."""

    def __init__(self, name: str, function: Quantity, first: int | None, encode: Encoding):
        self._name, self._function, self._first = name, function, first
        self._encode = encode
        self._exact: dict[str, float] = {}
        self._news: list[Counted] = []
        self._rows: list[Array] = []
        self._finite: list[float] = []  # values, one for each row
        self._sign = 1.0  # of the values: what is turned is below 0
        self.log, self._low, self._span = False, 0.0, 1.0
        self._weights: Array | None = None
        self._mean = 0.0

    def spread(self, draws: Sequence[Params]) -> None:
        """Find the scale on which the quantity is seen, from what some configurations have."""
        drawn = draws[: _DRAWS if self._first is None else self._first]
        found = [value for params in drawn if math.isfinite(value := self._count(params))]
        low, high = min(found, default=0.0), max(found, default=1.0)
        self.log = spans_factors(low, high)
        self._low, self._span = self._shown(low), max(1e-9, self._shown(high) - self._shown(low))

    def _shown(self, value: float) -> float:
        return math.log(max(value, 1e-12)) if self.log else value

    def _count(self, params: Params) -> float:
        identity = json.dumps(params)
        if identity not in self._exact:
            value = float(self._function(params))
            self.recall(params, value)
            if self._first is not None:
                self._news.append((self._name, params, value))
        return self._exact[identity]

    def recall(self, params: Params, value: float) -> None:
        """Know a value without counting it."""
        self._exact[json.dumps(params)] = value
        if self._first is not None and math.isfinite(value):
            self._rows.append(self._encode([params])[0])
            self._finite.append(value)
            self._weights = None

    def news(self) -> list[Counted]:
        news, self._news = self._news, []
        return news

    def learn(self, params: Params) -> float:
        return self._count(params)

    def values(self, configurations: Sequence[Params], x: Array) -> Array:
        if not configurations:
            return np.zeros(0)
        if self._first is None:
            return np.array([self._count(params) for params in configurations])
        estimated = self._estimated(x)
        known = [self._exact.get(json.dumps(params)) for params in configurations]
        return np.array([e if k is None else k for k, e in zip(known, estimated, strict=True)])

    def scaled(self, configurations: Sequence[Params], x: Array) -> Array:
        values = self.values(configurations, x)
        shown = np.log(np.maximum(values, 1e-12)) if self.log else values
        return (shown - self._low) / self._span

    def _estimated(self, x: Array) -> Array:
        weights = self._weights
        if weights is None:
            if not self._rows:
                return np.zeros(len(x))
            rows, values = _products(np.array(self._rows)), np.array(self._finite)
            self._sign = -1.0 if np.all(values < 0) else 1.0
            shown = np.log(np.maximum(self._sign * values, 1e-12))
            gram = rows @ rows.T + _RIDGE * np.eye(len(rows))
            self._mean = float(shown.mean())
            self._weights = weights = rows.T @ np.linalg.solve(gram, shown - self._mean)
        return self._sign * np.exp(np.clip(_products(x) @ weights + self._mean, -60, 60))


def _products(x: Array) -> Array:
    """A constant, the columns, and their products: (n, 1 + d + d * (d + 1) / 2)."""
    i, j = np.triu_indices(x.shape[1])
    y = x - 0.5
    return np.column_stack([np.ones(len(x)), 2 * y, y[:, i] * y[:, j]])
