"""Points with objectives that are all to be minimised: hypervolume of two, layers of fronts."""

from collections.abc import Iterable, Iterator, Mapping


def hypervolume(points: Iterable[tuple[float, float]], reference: tuple[float, float]) -> float:
    """The area between the points' front and the corner `reference`."""
    area, height = 0.0, reference[1]
    for x, y in sorted(points):
        if x < reference[0] and y < height:
            area += (reference[0] - x) * (height - y)
            height = y
    return area


def layers(points: Mapping[int, tuple[float, ...]]) -> Iterator[list[int]]:
    """The front, then the front of what is left, and so on; each in order of the first objective.

    With one objective the points one by one, the best first.
    """
    rest = sorted(points, key=lambda key: points[key])
    while rest:
        front = [key for key in rest if not any(_better(points[o], points[key]) for o in rest)]
        yield front
        rest = [key for key in rest if key not in front]


def _better(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether one dominates another."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
