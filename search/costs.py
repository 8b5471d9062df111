"""What the architectures of a sweep cost: counted before training, measured after it."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from search.measuring import Measuring
from search.plan import Plan
from search.projection import Projection
from search.record import Record
from spaces.space import Value
from trainables.efficiency.execution import Setting
from trainables.efficiency.repeats import Progress, measure_repeatedly
from trainables.efficiency.results import Results, Row
from trainables.efficiency.subjects import Subject, architecture
from trainables.metrics import EFFICIENCY

_SECONDS = 1.0  # a sweep has many architectures: each is timed quickly, and once
_SETTING = Setting()


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


def subject_of(record: Record, plan: Plan, image_size: int | None = None) -> Subject:
    """The model of a trial, at the sweep's image size by default."""
    return Subject(
        model=plan.searched.model,
        params=architecture(record.params),
        image_size=image_size or plan.image_size,
        num_classes=plan.num_classes,
        label=f"{plan.sweep} {record.key}",
    )


class Costs:
    """What the trials of a sweep cost, out of the home's table of measurements."""

    def __init__(self, home: Path, plan: Plan, way: Measuring):
        self._results, self._plan, self._way = Results(home), plan, way
        self._conditions = way.conditions(_SECONDS)

    def row(self, record: Record) -> Row | None:
        """The measurements of a trial's architecture; None before it was measured."""
        return self._results.get(self._conditions.of(subject_of(record, self._plan), _SETTING))

    def measure(self, trials: Sequence[Record], progress: Progress) -> None:
        """Measure each architecture of `trials` once that is not measured yet."""
        measure_repeatedly(
            [subject_of(record, self._plan) for record in trials],
            self._results,
            self._way.run,
            self._conditions,
            settings=(_SETTING,),
            repeats=1,
            progress=progress,
        )

    def publish(self, trials: Sequence[Record], projection: Projection) -> None:
        """Write what is known to the trials' runs, and into their records for the summary."""
        for record in trials:
            if (row := self.row(record)) is not None:
                values = scalars(row)
                record.metrics |= values
                projection.efficiency(record, values, tags(row))
                projection.attach(record, "efficiency.json", row)


def scalars(row: Row) -> dict[str, float]:
    """The numbers of a row under the names of the catalogue; what is missing is left out."""
    return {name: row[name] for name in EFFICIENCY if row.get(name) is not None}


def tags(row: Row) -> dict[str, str]:
    """Where and how it was measured, and why something was not."""
    marks = {}
    if row.get("device_name"):
        torch_version = json.loads(row["versions"])["torch"]
        threads = f"{row['device_threads']:g} threads"
        marks["efficiency_device"] = f"{row['device_name']}, {threads}, torch {torch_version}"
    if row["reasons"]:
        marks["efficiency_reason"] = "; ".join(f"{n}: {why}" for n, why in row["reasons"].items())
    if row.get("other_load"):
        marks["efficiency_other_load"] = "true"
    return marks
