"""How much do measurements of the same model differ from one fresh process to the next?

    python tests/benchmarks/variability.py [--device cuda] [--image-size 224] [--seconds 60]

Measures ViT-S/16 and ViT-T/16 in turn, eight times each, every time in a process of its own. Prints
for every metric the least and the most, their range and the standard deviation (n - 1) over the
mean, beside what WTTF found for ViT in eight training runs (section A.4).
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from trainables.efficiency import measure_fresh
from trainables.efficiency.fresh import default_seconds
from trainables.efficiency.subjects import Subject, SubjectError, parse

MODELS, REPEATS, SIZE_ON_CUDA, SIZE_ON_CPU = ("ViT-S/16", "ViT-T/16"), 8, 224, 64
# of "Which Transformer to Favor", A.4; its training time is the wall time of fine-tuning epochs
WTTF_FOUND = {
    "throughput_images_per_s": "0.15 %, 0.05 %",
    "training_step_ms": "6.33 %, 2.84 % (epoch)",
    "inference_peak_memory_bytes": "negligible",
    "training_peak_memory_bytes": "negligible",
}
METRICS = (
    *("throughput_images_per_s", "throughput_batch_size", "largest_batch_size", "training_step_ms"),
    *("latency_ms", "latency_p90_ms", "latency_p99_ms", "energy_joules"),
    *("inference_peak_memory_bytes", "inference_reserved_memory_bytes"),
    *("inference_batch_1_peak_memory_bytes", "inference_batch_1_reserved_memory_bytes"),
    *("training_peak_memory_bytes", "training_reserved_memory_bytes"),
)

Answer = Mapping[str, Any]


def answers(
    subjects: Sequence[Subject], repeats: int, **named: Any
) -> Iterator[tuple[Subject, Answer]]:
    """All subjects once, then all again, so that a slow drift of the machine is in every spread."""
    for number in range(1, repeats + 1):
        for subject in subjects:
            print(f"{subject.label}: {number} of {repeats}", file=sys.stderr, flush=True)
            sizes = {"image_size": subject.image_size, "num_classes": subject.num_classes}
            yield subject, measure_fresh(subject.model, subject.params, **sizes, **named)


def shares(values: Sequence[float]) -> tuple[float, float]:
    """Range and standard deviation, both over the mean."""
    mean = statistics.fmean(values)
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return (max(values) - min(values)) / mean, deviation / mean


def line(name: str, found: Sequence[Answer]) -> str:
    values = [v for answer in found if (v := answer["measurements"][name]) is not None]
    if not values:
        return f"  {name:40s} {found[0]['measurements']['reasons'][name]}"
    of_range, of_deviation = shares(values)
    return (
        f"  {name:40s} {min(values):14.6g} {max(values):14.6g} {100 * of_range:8.3f} % "
        f"{100 * of_deviation:8.3f} %   {WTTF_FOUND.get(name, '')}"
    )


def table(subject: Subject, found: Sequence[Answer]) -> dict[str, tuple[float, float]]:
    """Print one subject's table; range and standard deviation over the mean, by metric."""
    numbers = [answer["measurements"] for answer in found]
    passes = {name: [each["repeats"][name] for each in numbers] for name in numbers[0]["repeats"]}
    told = ", ".join(f"{min(p)} to {max(p)} for {name}" for name, p in passes.items())
    disturbed = sum(bool(answer["measurements"]["other_load"]) for answer in found)
    most = max(each["other_busy_cores"] or 0 for each in numbers)
    print(f"\n{subject.label}, {subject.image_size} px, {len(found)} fresh processes")
    print(f"passes in each: {told}")
    print(f"with other load: {disturbed} of {len(found)} (others had at most {most:.2f} cores)")
    print(f"  {'':40s} {'least':>14s} {'most':>14s} {'range':>10s} {'sd':>10s}   WTTF")
    for name in METRICS:
        print(line(name, found), flush=True)
    known = {name: [each[name] for each in numbers if each[name] is not None] for name in METRICS}
    return {name: shares(values) for name, values in known.items() if values}


def header(answer: Answer, given: argparse.Namespace) -> None:
    device, versions = answer["device"], answer["versions"]
    software = [f"{name} {version}" for name, version in versions.items()]
    software += [f"{name} {device[name]}" for name in ("cuda", "driver") if device[name]]
    print(
        f"{device['kind']}: {device['name']}, {device['cores']} cores, {device['threads']} threads,"
        f" {device['memory_bytes'] / 2**30:.1f} GiB; {', '.join(software)}"
    )
    print(
        f"{answer['setting']}; {given.seconds:g} s of timing in each process, training batch "
        f"{given.training_batch_size}, inference memory at batch "
        f"{answer['measurements']['inference_memory_batch_size']}; range and sd over the mean"
    )


def request() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS, help="published rows")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--image-size", type=int, help=f"{SIZE_ON_CUDA}; {SIZE_ON_CPU} on a CPU")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--seconds", type=float, help="of timing in each process")
    parser.add_argument("--training-batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, help="of PyTorch on the CPU")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--training-precision", default="fp32")
    given = parser.parse_args()
    given.seconds = given.seconds or default_seconds(given.device)
    given.image_size = given.image_size or (SIZE_ON_CPU if given.device == "cpu" else SIZE_ON_CUDA)
    try:
        given.subjects = parse(given.models, image_sizes=[given.image_size])
    except SubjectError as error:
        parser.error("; ".join(error.mistakes))
    return given


def main() -> int:
    given = request()
    subjects = given.subjects
    named = {
        name: getattr(given, name)
        for name in ("device", "threads", "seconds", "training_batch_size", "precision")
    }
    found: dict[str, list[Answer]] = {subject.label: [] for subject in subjects}
    failures = 0
    for subject, answer in answers(
        subjects, given.repeats, training_precision=given.training_precision, **named
    ):
        if "error" in answer:
            failures += 1
            print(f"{subject.label}: {answer['error']}", file=sys.stderr)
        else:
            found[subject.label].append(answer)
    measured = [subject for subject in subjects if found[subject.label]]
    if measured:
        header(found[measured[0].label][0], given)
    result = {subject.label: table(subject, found[subject.label]) for subject in measured}
    print(json.dumps(result))
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
