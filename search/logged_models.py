"""A sweep's logged models in MLflow: what each measured trial costs, on every machine."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from reports.mlflow_contract import YES, Kind, Tag, all_pages, runs_of, where
from search.plan import Plan
from search.projection import Projection
from search.record import Record
from trainables.efficiency.results import Identity, Row
from trainables.metrics import EFFICIENCY

# of an identity; the others are conditions. Only what was measured whole is logged
_MODEL = ("model", "params", "num_classes", "metrics")
_CONDITIONS = tuple(field.name for field in fields(Identity) if field.name not in _MODEL)
_DIGITS = 12  # of a digest; MLflow allows 36
_EXTERNAL = "mlflow.model.isExternal"  # MLflow's own mark of a model that it does not hold


class LoggedModels:
    """A sweep's logged models in MLflow, one per measured trial.

    MLflow's data set of a metric says here where and how it was measured. A metric of a model also
    belongs to a run, and a run keeps only one metric per name, time and step, whatever the data
    set. So each measurement is a run of its own, beneath the trial's run, which has the headline.
    """

    def __init__(self, projection: Projection, plan: Plan):
        self._projection, self._plan, client = projection, plan, projection.client
        self._client, self._experiment = client, projection.experiment_id
        query = where({Tag.SWEEP: plan.sweep})
        models = all_pages(
            lambda token: client.search_logged_models([self._experiment], query, page_token=token)
        )
        self._models = {model.source_run_id: model for model in models}
        of_sweep = {Tag.SWEEP: plan.sweep, Tag.KIND: Kind.MEASUREMENT}
        self._runs = {
            (run.data.tags[Tag.PARENT], run.data.tags[Tag.MEASUREMENT]): run
            for run in reversed(runs_of(client, [self._experiment], of_sweep))
        }

    def write(self, record: Record, rows: Sequence[Row]) -> None:
        """Bring a trial's model up to date with `rows`, without writing again what it has."""
        from mlflow.entities import Metric, RunTag

        parent, stamp = self._projection.trial_run(record), int(time.time() * 1000)
        model = self._model(record, parent)
        points = sorted(model.metrics or [], key=lambda point: point.timestamp)
        known = {(p.dataset_name, p.dataset_digest, p.key): p.value for p in points}
        for row in rows:
            place = dataset(row, self._plan.image_size)
            run = self._run(row, parent, f"{record.key} {place[0]}")
            about = tags(row) | {name: str(row[name]) for name in (*_CONDITIONS, "repeats")}
            new = {n: v for n, v in scalars(row).items() if known.get((*place, n)) != v}
            self._client.log_batch(
                run.info.run_id,
                metrics=[Metric(n, v, stamp, 0, model.model_id, *place) for n, v in new.items()],
                tags=[RunTag(n, v) for n, v in about.items() if run.data.tags.get(n) != v],
            )
            status = "FINISHED" if row["repeats"] else "FAILED"
            if run.info.status != status:
                self._client.set_terminated(run.info.run_id, status)

    def _model(self, record: Record, run_id: str) -> Any:
        """The model of the trial, made if it is missing. Weights stay in the trial's folder."""
        model = self._models.get(run_id)
        if model is None:
            model = self._client.create_logged_model(
                self._experiment,
                name=record.key,
                source_run_id=run_id,
                tags={Tag.SWEEP: self._plan.sweep, Tag.TRIAL_KEY: record.key, _EXTERNAL: YES},
                params=self._plan.shown(record.params, record.seed),
                model_type=self._plan.variant,
            )
        if model.status != "READY":
            model = self._client.finalize_logged_model(model.model_id, "READY")
        return model

    def _run(self, row: Row, parent: str, name: str) -> Any:
        """The run of a row, beneath that of the trial; made if it is missing."""
        if found := self._runs.get((parent, row["key"])):
            return found
        of_sweep = {Tag.KIND: Kind.MEASUREMENT, Tag.SWEEP: self._plan.sweep}
        own = {Tag.MEASUREMENT: row["key"], Tag.PARENT: parent}
        return self._client.create_run(self._experiment, tags={**of_sweep, **own}, run_name=name)


def dataset(row: Row, image_size: int) -> tuple[str, str]:
    """Where and how a row was measured: a name for people, and a digest of all that may matter.

    The name tells the size of the images if it is not `image_size` px.
    """
    kind = row["device"].partition(":")[0]
    name = f"{kind}: {row['device_name']}" if row.get("device_name") else row["device"]
    parts = [name, row["precision"], row["mode"]]
    if row["training_precision"] != row["precision"]:
        parts.append(f"trained in {row['training_precision']}")
    if row["image_size"] != image_size:
        parts.append(f"{row['image_size']} px")
    conditions = json.dumps([name, *(row[column] for column in _CONDITIONS)])
    return ", ".join(parts), hashlib.sha256(conditions.encode()).hexdigest()[:_DIGITS]


def scalars(row: Row) -> dict[str, float]:
    """The numbers of a row under their names in the catalogue, without those that are missing."""
    return {name: row[name] for name in EFFICIENCY if row.get(name) is not None}


def tags(row: Row) -> dict[str, str]:
    """Where and how a row was measured, and why numbers are missing."""
    marks: dict[str, str] = {}
    if row.get("device_name"):
        torch_version = json.loads(row["versions"])["torch"]
        threads = f"{row['device_threads']:g} threads"
        marks[Tag.EFFICIENCY_DEVICE] = f"{row['device_name']}, {threads}, torch {torch_version}"
    if row["reasons"]:
        reasons = "; ".join(f"{name}: {why}" for name, why in row["reasons"].items())
        marks[Tag.EFFICIENCY_REASON] = reasons
    if row.get("other_load"):
        marks[Tag.EFFICIENCY_OTHER_LOAD] = YES
    return marks
