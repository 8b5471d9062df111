"""What the architectures of a sweep cost: counted before training, measured after it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import torch

from search.logged_models import LoggedModels, scalars, tags
from search.measuring import Measuring
from search.plan import Plan
from search.projection import Projection
from search.record import Record
from spaces.space import Value
from trainables import models
from trainables.efficiency import Counts, count
from trainables.efficiency.execution import Setting
from trainables.efficiency.repeats import Conditions, Progress, measure_repeatedly
from trainables.efficiency.results import Identity, Results, Row
from trainables.efficiency.subjects import Subject, architecture
from trainables.efficiency.summary import STATISTICS
from trainables.home import Home

SECONDS = 1.0  # a sweep has many architectures, so each is timed quickly, and once
_SETTING = Setting()


def counts(plan: Plan) -> Callable[[dict[str, Value]], Counts]:
    """A function that counts what a configuration costs; it counts each architecture once."""
    # the driver counts while lanes train; if it had more threads, they would wait for the lanes'
    torch.set_num_threads(1)

    @cache
    def counted(identity: str) -> Counts:
        with torch.device("meta"):
            model = models.build(
                plan.searched.model,
                json.loads(identity),
                image_size=plan.image_size,
                num_classes=plan.num_classes,
            )
        return count(model, plan.image_size)

    return lambda params: counted(json.dumps(architecture(params)))


def architecture_of(
    params: Mapping[str, Value], plan: Plan, label: str, image_size: int | None = None
) -> Subject:
    """The model of a configuration, at the sweep's image size by default."""
    return Subject(
        model=plan.searched.model,
        params=architecture(params),
        image_size=image_size or plan.image_size,
        num_classes=plan.num_classes,
        label=label,
    )


def subject_of(record: Record, plan: Plan, image_size: int | None = None) -> Subject:
    """The model of a trial, likewise."""
    return architecture_of(record.params, plan, f"{plan.sweep} {record.key}", image_size)


class Costs:
    """What the trials of a sweep cost, from the home's table of measurements.

    `way` says how they are measured, and so which measurement of a trial is the headline. Without
    it nothing can be measured, and `publish` takes as headlines the measurements under those
    conditions under which most trials were measured; of several, the newest.
    """

    def __init__(self, home: Home, plan: Plan, way: Measuring | None = None):
        self._results, self._plan, self._way = Results(home.path), plan, way
        self._conditions = way.conditions(SECONDS) if way else None

    def row(self, record: Record) -> Row | None:
        """The headline of a trial's architecture; None if it is not measured yet."""
        return self._headline(record, self._conditions) if self._conditions else None

    def _headline(self, record: Record, conditions: Conditions) -> Row | None:
        return self._shown(conditions.of(subject_of(record, self._plan), _SETTING))

    def _shown(self, whole: Identity) -> Row | None:
        """What was measured whole, with the numbers that the search measured alone, before."""
        row, alone = self._results.get(whole), self._plan.measured
        part = self._results.get(replace(whole, metrics=alone)) if alone else None
        if row is None or part is None:
            return row
        known = [name for name in alone if part.get(name) is not None]
        return row | {name + end: part[name + end] for name in known for end in STATISTICS}

    def measure(self, trials: Sequence[Record], progress: Progress) -> None:
        """Measure each architecture of `trials` that is not measured yet, once."""
        assert self._way is not None, "costs that are only published have no way to measure"
        measure_repeatedly(
            [subject_of(record, self._plan) for record in trials],
            self._results,
            self._way.run,
            self._way.conditions(SECONDS),
            settings=(_SETTING,),
            repeats=1,
            progress=progress,
        )

    def publish(self, trials: Sequence[Record], projection: Projection) -> None:
        """Write what is known to MLflow, and the headlines into the records for the summary.

        A trial's run gets the headline, its `efficiency.json` gets every row of its architecture
        (the headline first), and its logged model gets the numbers of every row.
        """
        measured = self._results.identities
        self._conditions = self._conditions or self._usual(trials, measured)
        models = LoggedModels(projection, self._plan)
        for record in trials:
            if (headline := self.row(record)) is not None:
                values = scalars(headline)
                record.metrics |= values
                projection.efficiency(record, values, tags(headline))
            if rows := self.rows(record):
                rows.sort(key=lambda row: row != headline)
                projection.attach(record, "efficiency.json", rows)
                models.write(record, rows)

    def _usual(self, trials: Sequence[Record], measured: Sequence[Identity]) -> Conditions | None:
        """The conditions under which most of `trials` were measured; None if no trial was."""
        found = {
            (i.device, i.threads, i.columns["versions"]): Conditions(
                device=i.device, threads=i.threads, timing_seconds=SECONDS, versions=i.versions
            )
            for i in reversed(measured)
        }
        known = {
            place: sum(self._headline(record, conditions) is not None for record in trials)
            for place, conditions in found.items()
        }
        return found[max(known, key=known.__getitem__)] if known else None

    @property
    def damages(self) -> list[str]:
        """Which lines of the journal of measurements say nothing."""
        return self._results.damages

    def rows(self, record: Record) -> list[Row]:
        """Every whole row of a trial's architecture: all devices, settings and image sizes."""
        subject = subject_of(record, self._plan)
        model = (subject.model, dict(subject.params), subject.num_classes)
        whole = [i for i in self._results.identities if not i.metrics]
        same = [i for i in whole if (i.model, dict(i.params), i.num_classes) == model]
        return [row for identity in same if (row := self._shown(identity)) is not None]
