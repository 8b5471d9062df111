"""What a sweep would do and take, told before anything is made: `search.run --dry-run`."""

from collections.abc import Iterator, Sequence
from statistics import median

from reports.mlflow_contract import address
from search import cluster, disk, forecast
from search.budget import ends
from search.footprint import MEMORY_RANGE, Footprint
from search.forecast import Range
from search.objectives import COUNTED, limited
from search.plan import Plan
from search.published import points
from search.request import Request
from search.sampled import Sample, sample
from search.terminal import duration
from search.units import quantity
from trainables.addresses import redacted
from trainables.data import SPLITS, Dataset
from trainables.data.cache import default_cache_dir

_HOUR = 3600.0


def told(request: Request, plan: Plan, dataset: Dataset) -> Iterator[str]:
    """The lines, as headings with what belongs to them; makes nothing."""
    found = sample(plan)
    yield f"dry run of sweep {plan.sweep}: {plan.variant} on {plan.data_name}; nothing is made"
    yield from _space(plan, found)
    yield from _budget(request, plan)
    yield from _lanes(request, plan, dataset, found.footprints)
    yield from _storage(request, plan, dataset, found.footprints)


def _space(plan: Plan, found: Sample) -> Iterator[str]:
    space = plan.searched
    size = f"{space.size:,.0f}" if space.size < 1e15 else "infinitely many"
    yield f"space: {len(space.params)} searched parameters, {size} configurations before the rules"
    yield from (f"  {name}: {domain}" for name, domain in space.params.items())
    if space.fixed:
        yield f"  constant: {' '.join(f'{name}={value}' for name, value in space.fixed.items())}"
    yield f"rules: {'; '.join(map(str, space.rules)) or 'none'}"
    yield f"  kept by {found.rules}"
    limits = ", ".join(limited(name, limit) for name, limit in plan.limits.items())
    yield f"limits: {limits or 'none'}"
    if plan.limits.keys() & set(COUNTED):
        yield f"  of what keeps the rules, kept by {found.limits}"
    if measured := sorted(plan.limits.keys() - set(COUNTED)):
        yield f"  not looked at here, since it has to be measured: {', '.join(measured)}"
    yield (
        f"published points: {len(space.published)}, of which {len(points(plan))} lie in the space; "
        f"up to {plan.published} that keep the limits are tried first"
    )


def _budget(request: Request, plan: Plan) -> Iterator[str]:
    yield f"objectives: {', '.join(f'{name} ({way})' for name, way in plan.directions.items())}"
    many = "as many" if plan.trials is None else f"{plan.trials}"
    size = f"{many} trials of at most {plan.epochs} epochs at {plan.image_size} px"
    yield f"budget: {size}, sampler {plan.sampler}"
    yield from (f"  {end}" for end in ends(plan))
    if plan.repeats > 1:
        yield f"  then the best are trained {plan.repeats} times in all, with other seeds"
    if spent := forecast.epochs(plan):
        yield f"  about {_between(spent, '{:,.0f}')} epochs in all, as trials pause or are stopped"
    if known := len(request.folder.trained_keys()):
        yield f"  the sweep exists: {known} trials of it are begun, and are not begun again"


def _between(found: Range, shown: str) -> str:
    return f"{shown.format(found.usual)} ({shown.format(found.low)} to {shown.format(found.high)})"


def _lanes(
    request: Request, plan: Plan, dataset: Dataset, footprints: Sequence[Footprint]
) -> Iterator[str]:
    place, asked = cluster.address_of(request.address), request.resources
    workers, cpus, gpus = cluster.lane_needs(asked, gpus_exist=cluster.gpus_here() > 0)
    lanes = asked.lanes or (
        1 if place else max(1, min(cluster.lanes_here(asked), plan.trials or 1_000))
    )
    if place:
        yield f"lanes: on the Ray cluster at {place}: " + (
            f"{lanes}" if asked.lanes else "as many as fit, reckoned as 1"
        )
    else:
        yield f"lanes: {lanes} on this machine"
    yield f"  each of {workers} worker(s) with {cpus:g} CPUs and {gpus:g} GPUs"
    yield from _time(request, plan, dataset, footprints, lanes)
    if footprints:
        middle = median(each.training_bytes for each in footprints)
        most = max(each.training_bytes for each in footprints)
        low, high = (_size(middle * factor / workers) for factor in MEMORY_RANGE)
        yield f"memory: {_size(middle / workers)} ({low} to {high}) of a worker's training step"
        yield (
            f"  up to {_size(most * MEMORY_RANGE[1] / workers)} for the largest of "
            f"{len(footprints)} configurations; PyTorch itself takes about 1 GiB more per worker"
        )
        yield "  counted from the operators of one forward pass, not measured"


def _time(
    request: Request, plan: Plan, dataset: Dataset, footprints: Sequence[Footprint], lanes: int
) -> Iterator[str]:
    workers, _, gpus = cluster.lane_needs(request.resources, gpus_exist=cluster.gpus_here() > 0)
    if not footprints:
        yield "time: unknown, since no configuration was found that could be counted"
        return
    speed = forecast.speed(request.home, plan, "cuda" if gpus else "cpu", workers)
    rows = {split: dataset.rows(split) for split in SPLITS}
    epoch = forecast.seconds_per_epoch(footprints, rows, speed.rate)
    spent = forecast.epochs(plan)
    if spent is None:
        yield f"time: what the budget says; {_between(epoch, '{:.3g}')} s an epoch"
        yield f"  rests on {speed.basis}"
        return
    wall = (epoch * spent).times(1 / lanes)
    if plan.hours is not None:
        wall = wall.at_most(plan.hours * _HOUR)
    times = [duration(seconds) for seconds in (wall.usual, wall.low, wall.high)]
    yield f"time: {times[0]} ({times[1]} to {times[2]}) of training and validation"
    yield f"  {_between(epoch, '{:.3g}')} s an epoch; rests on {speed.basis}"
    yield "  besides: decoding, half a minute to start lanes, first stages, and some seconds to"
    yield "  measure each architecture"
    hours = wall.times(lanes * workers * gpus / _HOUR)
    if plan.gpu_hours is not None:
        hours = hours.at_most(plan.gpu_hours)
    yield f"GPU hours: {_between(hours, '{:.3g}') if gpus else 'none, there is no GPU in use'}"


def _storage(
    request: Request, plan: Plan, dataset: Dataset, footprints: Sequence[Footprint]
) -> Iterator[str]:
    home, folder = request.home, request.folder
    if footprints:
        commit = median(each.commit_bytes for each in footprints)
        weights = median(each.weights_bytes for each in footprints)
        yield f"disk: a paused trial keeps {_size(commit)}, a complete one {_size(weights)}"
        if plan.trials is not None:
            yield f"  while it runs up to {_size(plan.trials * commit)}, if most trials are paused"
    free = disk.free(home.path)
    limit = disk.SHARE * free if request.disk_limit is None else request.disk_limit
    why = (
        f"{100 * disk.SHARE:g} % of what is free" if request.disk_limit is None else "--disk-limit"
    )
    yield f"  the trials have at most {_size(limit)} ({why}); {_size(free)} are free"
    decoded = sum(dataset.rows(split) for split in SPLITS) * 3 * plan.image_size**2
    yield "stored in:"
    yield f"  trials: {folder.trials}"
    yield f"  study: {redacted(request.database) if request.database else folder.study}"
    yield f"  MLflow: {redacted(address(home))}"
    yield f"  report: {home.reports / plan.sweep}"
    made = "" if dataset.shards else ", not made yet"
    yield f"  data: {dataset.path}{made}"
    yield f"  decoded images: {default_cache_dir()}, {_size(decoded)}"


def _size(size_bytes: float) -> str:
    return quantity(size_bytes, "bytes")
