"""Images a second by our measure and by timm's `benchmark.py`: how far apart, and why?

    python tests/benchmarks/timm_benchmark.py [--device cuda] [--batch 256] [--precision fp16]

timm's method, after its `InferenceBenchmarkRunner`: one random batch, made once; 10 passes to warm
up; 40 passes, each waited for; images over the time of all of them; gradients off by `no_grad`,
cuDNN choosing convolutions by trial. Both run eagerly in one process on the same model, batch size,
precision, threads and memory format (not channels last), and take turns. Then one difference after
the other is put into our measure.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from platform import python_version

import timm
import torch

from trainables import models
from trainables.efficiency.arithmetic import PRECISIONS, arithmetic
from trainables.efficiency.device import describe, resolve
from trainables.efficiency.execution import Setting
from trainables.efficiency.inputs import Inputs
from trainables.efficiency.subjects import IMAGE_SIZE, Subject, parse
from trainables.efficiency.throughput import throughputs
from trainables.efficiency.timing import durations_s, rotating

MODELS = ("ViT-S/16", "DeiT-S/16", "Swin-Ti-W/7/4", "XCiT-S-12/16")
# batch size, warm-up passes, timed passes, rounds: timm's, and what two cores do in minutes
ON_CUDA, ON_CPU = (256, 10, 40, 3), (8, 2, 4, 2)
REASONS = """
What differs between the two methods:
 input       ours takes batches in turn, more than twice the cache; timm's is one batch, which a
             large cache may still hold
 waiting     ours queues all passes on a GPU; timm's waits for each, which adds the way to the GPU
             and back (a CPU has no queue: there both wait)
 statistic   ours is the median pass; timm's is all images over all time, so slow passes count
 gradients   ours is in inference mode; timm's in no_grad, which keeps version counters
 warm-up     ours is a fifth of the time and at least 2 passes; timm's is 10 passes
 fp32        timm's is PyTorch's default, which on a GPU convolves in TF32; here both are IEEE
 cuDNN       timm's lets it choose convolutions by trial; ours keeps its heuristics
 batch size  ours reports the best of many; timm's is 256 unless told otherwise
"""


class Bench:
    """One model on one device, timed with one batch size in one precision."""

    def __init__(self, subject: Subject, given: argparse.Namespace):
        torch.manual_seed(0)
        sizes = {"image_size": subject.image_size, "num_classes": subject.num_classes}
        self.device, self.precision = given.target, given.precision
        self.batch_size, self.warm_ups, self.passes = given.batch, given.warm_ups, given.passes
        self.model = models.build(subject.model, subject.params, **sizes).eval().to(self.device)
        self.inputs = Inputs(3, subject.image_size, self.device, torch.float32)
        self.seconds = 0.0  # that the last run of timm's method took: ours gets as much

    def timm(self) -> float:
        """Images a second by timm's method."""
        started = time.perf_counter()
        images = torch.randn(self.batch_size, 3, *[self.inputs.size] * 2, device=self.device)
        with (
            chosen_by_trial(),
            arithmetic(self.device, self.precision) as autocast,
            torch.no_grad(),
        ):

            def step() -> None:
                with autocast():
                    self.model(images)
                self.wait()

            for _ in range(self.warm_ups):
                step()
            begun = time.perf_counter()
            for _ in range(self.passes):
                step()
            ended = time.perf_counter()
        self.seconds = ended - started
        return self.batch_size * self.passes / (ended - begun)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def ours(self) -> float:
        return self._best([self.batch_size])

    def best_size(self) -> float:
        """Our measure of the best of the powers of two from a quarter to twice the batch size."""
        sizes = [2**power for power in range((2 * self.batch_size).bit_length())]
        return self._best([size for size in sizes if 4 * size >= self.batch_size])

    def _best(self, sizes: Sequence[int]) -> float:
        setting, seconds = Setting(precision=self.precision), self.seconds * len(sizes)
        tried, stopped_by = throughputs(self.model, self.inputs, setting, sizes, seconds)
        if not tried:
            raise SystemExit(stopped_by)
        return max(result.images_per_s for result in tried)

    def varied(self, *, one_batch: bool = False, apart: bool = False, mean: bool = False) -> float:
        """Our measure with one of timm's ways in it."""
        setting = Setting(precision=self.precision)
        with rotating(self.model, self.inputs, setting, self.batch_size) as forward:
            run = (lambda _number: forward(0)) if one_batch else forward
            durations = durations_s(run, self.device, self.seconds, apart=apart)
        middle = statistics.fmean if mean else statistics.median
        return self.batch_size / middle(durations)

    def no_grad(self) -> float:
        batches = self.inputs.rotation(self.batch_size)
        with arithmetic(self.device, self.precision) as autocast, torch.no_grad():

            def run(number: int) -> None:
                with autocast():
                    self.model(batches[number % len(batches)])

            durations = durations_s(run, self.device, self.seconds, apart=False)
        return self.batch_size / statistics.median(durations)

    def trial(self) -> float:
        with chosen_by_trial():
            return self.ours()

    @property
    def ways(self) -> dict[str, Callable[[], float]]:
        ways = {
            "timm's method": self.timm,
            "ours": self.ours,
            "ours, one batch again and again": lambda: self.varied(one_batch=True),
            "ours, mean of the passes": lambda: self.varied(mean=True),
            "ours, no_grad": self.no_grad,
        }
        if self.device.type == "cuda":
            ways["ours, waiting for each pass"] = lambda: self.varied(apart=True)
            ways["ours, cuDNN by trial"] = self.trial
        return ways


@contextmanager
def chosen_by_trial():
    """cuDNN tries its algorithms for each new shape and keeps the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def compare(subject: Subject, given: argparse.Namespace) -> None:
    bench = Bench(subject, given)
    rates: dict[str, list[float]] = {name: [] for name in bench.ways}
    for _ in range(given.rounds):
        for name, way in bench.ways.items():
            rates[name].append(way())
    rates["ours, best batch size"] = [bench.best_size()]
    ours = statistics.median(rates["ours"])
    print(f"\n{subject.label}, {subject.image_size} px, batch {given.batch}")
    for name, found in rates.items():
        rate = statistics.median(found)
        print(
            f"  {name:34s} {rate:10.1f} images/s {rate / ours:6.3f} of ours"
            f"  ({min(found):.1f} to {max(found):.1f})",
            flush=True,
        )


def request() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS, help="published rows")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS)
    parser.add_argument("--image-size", type=int, default=IMAGE_SIZE)
    for name in ("batch", "warm-ups", "passes", "rounds"):
        parser.add_argument(f"--{name}", type=int)
    given = parser.parse_args()
    try:
        given.target = resolve(given.device)
        given.subjects = parse(given.models, image_sizes=[given.image_size])
    except ValueError as error:
        parser.error(str(error))
    usual = ON_CUDA if given.target.type == "cuda" else ON_CPU
    for name, value in zip(("batch", "warm_ups", "passes", "rounds"), usual, strict=True):
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def main() -> None:
    given = request()
    facts = describe(given.target, given.precision)
    load = ", ".join(f"{value:.2f}" for value in facts["load_average"])
    print(
        f"{facts['kind']}: {facts['name']}, {facts['cores']} cores, {facts['threads']} threads; "
        f"python {python_version()}, torch {torch.__version__}, timm {timm.__version__}, "
        f"cuda {facts['cuda']}, driver {facts['driver']}; load average before: {load}"
    )
    print(
        f"{given.precision}, eager; timm's method: {given.warm_ups} passes to warm up, "
        f"{given.passes} timed; medians of {given.rounds} rounds in turn, least to most"
    )
    for subject in given.subjects:
        compare(subject, given)
    print(REASONS)


if __name__ == "__main__":
    main()
