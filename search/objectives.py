"""What a sweep makes better, and within which limits: metrics of the catalogue.

They differ in what it takes to know them. Learned ones show epoch by epoch; counted ones follow
from the model; measured ones take some seconds on the device, once for each architecture.
"""

from collections.abc import Iterable, Sequence

from reports.pareto import Direction
from search.units import quantity
from spaces.space import nearest
from trainables.metrics import CATALOGUE, EFFICIENCY, EPOCH

DEFAULT = ("valid_top1",)
LEARNED = tuple(m.name for m in EPOCH.values() if m.name.startswith("valid_") and m.unit != "s")
COUNTED = ("params", "gflops", "gmacs")
MEASURED = tuple(
    m.name for m in EFFICIENCY.values() if m.better != "neither" and m.name not in COUNTED
)
LIMITS = {  # option of the command line: what it limits
    "max_gflops": "gflops",
    "max_params": "params",
    "max_latency_ms": "latency_ms",
    "max_memory": "inference_peak_memory_bytes",
    "min_throughput": "throughput_images_per_s",
}


def mistakes(objectives: Sequence[str]) -> list[str]:
    """What is wrong with the names of objectives."""
    known = [*LEARNED, *COUNTED, *MEASURED]
    wrong = [
        f"--objective: no objective {name!r}{nearest(name, known)} (there are {', '.join(known)})"
        for name in objectives
        if name not in known
    ]
    if twice := sorted({name for name in objectives if objectives.count(name) > 1}):
        wrong.append(f"--objective: {', '.join(twice)} is given twice")
    if not wrong and not any(name in LEARNED for name in objectives):
        wrong.append(
            f"--objective: {', '.join(objectives)} needs no training, so there is nothing to "
            f"search; name one of {', '.join(LEARNED)}, too"
        )
    return wrong


def ordered(objectives: Iterable[str]) -> tuple[str, ...]:
    """Those that training shows come first, else as they are given."""
    return tuple(sorted(objectives, key=lambda name: name not in LEARNED))


def better(name: str) -> Direction:
    """Which way a metric of the catalogue is better, for one that can be an objective."""
    return "max" if CATALOGUE[name].better == "max" else "min"


def directions(objectives: Iterable[str]) -> dict[str, Direction]:
    """`min` or `max` for each objective."""
    return {name: better(name) for name in objectives}


def shown(name: str, value: float | None) -> str:
    """A value for people, with its unit; accuracies with two digits after the point."""
    if value is None:
        return "-"
    unit = CATALOGUE[name].unit
    if unit == "fraction":
        return f"{100 * value:.2f} %"
    return f"{value:.4g}" if unit == "nats" else quantity(value, unit)


def limited(name: str, limit: float) -> str:
    """A limit for people."""
    word = "at least" if better(name) == "max" else "at most"
    if name == "gflops":
        return f"{word} {limit:g} GFLOPs"
    return f"{name} {word} {shown(name, limit)}"
