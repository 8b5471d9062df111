"""What the trials' architectures cost: counted before training, measured after a sweep.

    python -m search.measure SWEEP

Each distinct architecture is measured once, in a fresh process with nothing of ours beside it, and
written to the MLflow runs of all trials that have it. What was measured is kept in
the home's `efficiency.jsonl`: an interrupted measuring goes on, and no sweep measures it again.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from search import reading
from search.plan import Plan
from search.projection import Projection, default_uri
from search.record import Record
from search.study import SweepStudy
from search.terminal import progress_bar
from spaces.space import Value
from trainables import fields, records
from trainables.metrics import EFFICIENCY
from trainables.provenance import facts
from trainables.recipe import Recipe

Answer = dict[str, Any]
Progress = Callable[[int, int], None]


def architecture(params: Mapping[str, Value]) -> dict[str, Value]:
    """Those parameters that make the model; the recipe's and drop path do not change its cost."""
    costless = {*fields.names(Recipe), "drop_path"}
    return {name: value for name, value in sorted(params.items()) if name not in costless}


def counter(plan: Plan) -> Callable[[dict[str, Value]], float]:
    """GFLOPs of a configuration of `plan`: counted, not measured; each architecture once."""
    import torch

    from trainables import models
    from trainables.efficiency import count

    # the driver counts while lanes train: threads of its own would wait for theirs
    torch.set_num_threads(1)

    @cache
    def counted(identity: str) -> float:
        with torch.device("meta"):
            model = models.build(
                plan.searched.model,
                json.loads(identity),
                image_size=plan.image_size,
                num_classes=plan.num_classes,
            )
        return count(model, plan.image_size).gflops

    return lambda params: counted(json.dumps(architecture(params)))


class Ledger:
    """The architectures measured so far, on `device`; a line each in `efficiency.jsonl`."""

    def __init__(self, home: Path, plan: Plan, device: str):
        self._path, self._plan, self._device = home / "efficiency.jsonl", plan, device
        self._known = {line["key"]: line["answer"] for line in records.read_lines(self._path)}

    def key(self, params: Mapping[str, Value]) -> str:
        plan = self._plan
        identity = {
            "model": plan.searched.model,
            "params": architecture(params),
            "image_size": plan.image_size,
            "num_classes": plan.num_classes,
            "device": self._device,
            "torch": version("torch"),
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def get(self, params: Mapping[str, Value]) -> Answer | None:
        return self._known.get(self.key(params))

    def add(self, params: Mapping[str, Value], answer: Answer) -> None:
        key = self.key(params)
        self._known[key] = answer
        line = {"key": key, "params": architecture(params), "answer": answer}
        records.append_line(self._path, line, sync=True)


@dataclass(frozen=True, slots=True)
class Measuring:
    """A way to call `measure_fresh`, and the name of the device that it measures."""

    run: Callable[..., Answer]
    device: str


def here() -> Measuring:
    """Measure on this machine."""
    import torch

    from trainables.efficiency import measure_fresh

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    name = facts()["gpus"][0] if kind == "cuda" else facts()["processor"]
    run = partial(measure_fresh, device=kind, threads=os.cpu_count())
    return Measuring(run, f"{kind}: {name}")


def on_cluster(gpu: bool) -> Measuring:
    """Measure on a node of the connected cluster, which has a GPU, or a CPU, to itself."""
    import ray

    from trainables.efficiency import measure_fresh

    kind = "cuda" if gpu else "cpu"
    options: Any = ray.remote(num_cpus=1, num_gpus=int(gpu), max_calls=1)
    task = options(measure_fresh)

    def run(*arguments: Any, **named: Any) -> Answer:
        return ray.get(task.remote(*arguments, device=kind, **named))

    return Measuring(run, f"{kind}: cluster")


def missing(trials: Sequence[Record], ledger: Ledger) -> list[Record]:
    """One trial for each architecture that is not measured yet."""
    first = {ledger.key(t.params): t for t in reversed(trials) if ledger.get(t.params) is None}
    return sorted(first.values(), key=lambda record: record.number)


def measure_all(
    trials: Sequence[Record],
    plan: Plan,
    ledger: Ledger,
    run: Callable[..., Answer],
    progress: Progress,
) -> None:
    """Measure what is missing. `run` is `measure_fresh`, here or on a node of the cluster."""
    todo = missing(trials, ledger)
    for done, record in enumerate(todo):
        progress(done, len(todo))
        answer = run(
            plan.searched.model,
            architecture(record.params),
            image_size=plan.image_size,
            num_classes=plan.num_classes,
            seconds=1.0,
        )
        ledger.add(record.params, answer)
    progress(len(todo), len(todo))


def scalars(answer: Answer) -> dict[str, float]:
    """The numbers of an answer under the names of the catalogue; what is missing is left out."""
    found = {**answer.get("counts", {}), **answer.get("measurements", {})}
    return {name: found[name] for name in EFFICIENCY if found.get(name) is not None}


def tags(answer: Answer) -> dict[str, str]:
    """Where and how it was measured, and why something was not."""
    device = answer.get("device", {})
    reasons = answer.get("measurements", {}).get("reasons", {})
    if "error" in answer:
        reasons = {"everything": answer["error"]}
    described = f"{device.get('name')}, {device.get('threads')} threads, torch {version('torch')}"
    marks = {"efficiency_device": described} if device else {}
    if reasons:
        marks["efficiency_reason"] = "; ".join(f"{n}: {why}" for n, why in reasons.items())
    if answer.get("other_load"):
        marks["efficiency_other_load"] = "true"
    return marks


def publish(trials: Sequence[Record], ledger: Ledger, projection: Projection) -> None:
    """Write what is known to the trials' runs, and into their records for the summary."""
    for record in trials:
        if (answer := ledger.get(record.params)) is not None:
            values = scalars(answer)
            record.metrics |= values
            projection.efficiency(record, values, tags(answer))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not measured yet of a sweep's trials; the exit code is 0, 2, 3 or 6."""
    parser = reading.parser("search.measure", main.__doc__)
    given = parser.parse_args(arguments)
    way, uri = here(), default_uri(given.home)

    def measured(plan: Plan, study: SweepStudy) -> int:
        ledger = Ledger(given.home, plan, way.device)
        with progress_bar(Console(), plan.sweep) as progress:
            measure_all(study.trained, plan, ledger, way.run, progress)
        publish(study.trained, ledger, Projection(uri, given.home, plan, facts()))
        errors = sum("error" in (ledger.get(t.params) or {}) for t in study.trained)
        sys.stdout.write(f"{plan.sweep}: {len(study.trained)} trials, {errors} without values\n")
        return 0

    return reading.each(given, measured)


if __name__ == "__main__":
    sys.exit(main())
