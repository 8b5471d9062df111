"""The best value of every function, by a dense search; writes best.json.

    python -m tests.benchmarks.objectives.best

One objective: 20,000 random configurations, then a pattern search from each of the best 30. Two:
for every depth and width, and six values of k_dim, the pattern search over the rest; the
hypervolume of all of them.
"""

import itertools
import json
import math
import random
from collections.abc import Collection, Iterable, Iterator, Mapping

from spaces.space import Choice, Domain, Integer, Value
from tests.benchmarks.objectives import CHOOSING, FAMILIES, REPORTING
from tests.benchmarks.objectives.objective import BEST, Objective
from tests.benchmarks.pareto import hypervolume

DRAWS, STARTS, HALVINGS = 20_000, 30, 9


def feasible_draws(objective: Objective, seed: int) -> Iterator[dict[str, Value]]:
    """Random configurations within the limits, without end."""
    rng = random.Random(seed)
    while True:
        params = objective.space.draw(rng)
        if objective.feasible(params):
            yield params


def moves(domain: Domain, value: Value, step: float) -> list[Value]:
    """What lies a share `step` of the domain away from a value, up and down."""
    if isinstance(domain, Choice):
        return [other for other in domain.values if other != value]
    low, high, number = float(domain.low), float(domain.high), float(value)  # type: ignore[attr-defined]
    if domain.log:  # type: ignore[attr-defined]
        found = [number * (high / low) ** way for way in (step, -step)]
    else:
        found = [number + (high - low) * way for way in (step, -step)]
    if isinstance(domain, Integer):
        whole = [domain.low + domain.step * round((x - low) / domain.step) for x in found]
        near = [int(number) + domain.step, int(number) - domain.step]
        return [x for x in {*whole, *near} if domain.contains(x)]
    return [min(max(x, low), high) for x in found]


def pattern_search(
    objective: Objective, start: Mapping[str, Value], free: Collection[str]
) -> tuple[float, dict[str, Value]]:
    """The least true error at full length near `start`, moving one `free` parameter at a time."""
    end, now = objective.max_epochs, dict(start)
    least, step = objective.true(now, end), 0.2
    for _ in range(HALVINGS):
        better = True
        while better:
            better = False
            for name in free:
                for value in moves(objective.space.params[name], now[name], step):
                    other = {**now, name: value}
                    if objective.feasible(other) and (error := objective.true(other, end)) < least:
                        least, now, better = error, other, True
        step /= 2
    return least, now


def front(
    objective: Objective,
    depths: Iterable[int] = range(2, 13),
    k_dims: Collection[int] = (16, 32, 64, 96, 160, 256),
) -> list[tuple[float, float]]:
    """Error and the known objective of the best configuration of every size."""
    ((_, known),) = objective.known.items()
    free = [name for name in objective.space.params if name not in ("depth", "dim", "k_dim")]
    start = next(feasible_draws(objective, 0))
    points = []
    for depth, k_dim in itertools.product(depths, k_dims):
        for dim in range(64, 513, 64):
            size: dict[str, Value] = {"depth": depth, "dim": dim, "k_dim": k_dim}
            least, start = pattern_search(objective, {**start, **size}, free)
            points.append((least, known(start)))
    return points


def dense(objective: Objective) -> float:
    """The best true value at full length, or the hypervolume of the front."""
    if objective.reference:
        return hypervolume(front(objective), objective.reference)
    draws = itertools.islice(feasible_draws(objective, 0), DRAWS)
    scored = sorted(draws, key=lambda params: objective.true(params, objective.max_epochs))
    return min(
        pattern_search(objective, start, objective.space.params)[0] for start in scored[:STARTS]
    )


def main() -> None:
    found: dict[str, dict[str, float]] = {}
    for name, family in FAMILIES.items():
        if "best" in vars(family):  # known otherwise
            continue
        found[name] = {str(s): round(dense(family(s)), 6) for s in (*CHOOSING, *REPORTING)}
        print(name, found[name], flush=True)
    assert all(math.isfinite(best) for values in found.values() for best in values.values())
    BEST.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
