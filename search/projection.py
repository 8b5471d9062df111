"""MLflow as a projection of a sweep: what the study and the trials' folders say, written there.

Writing again changes nothing: runs are found by their tag `trial_key`, and a point of a curve has
the time of its line. So MLflow can be rebuilt from the other two.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.mlflow_contract import STATUS, YES, Kind, Tag, is_server, runs_of
from search.identity import Identity
from search.mlflow_store import client_of
from search.plan import Plan
from search.record import Record, config_hash
from search.sweep_folder import SweepFolder
from trainables import trial_log
from trainables.home import Home
from trainables.metrics import EPOCH, FINAL
from trainables.training_time import of_folder
from trainables.trial_folder import TrialFolder
from trainables.trial_log import Line

_ANY = Identity()
_OPEN = (STATUS["running"], STATUS["paused"])


def runs_of_trials(
    client: Any, experiment_id: str, sweep: str, identity: Identity = _ANY
) -> list[Any]:
    """The runs of all trials of `sweep`, the oldest first."""
    runs = runs_of(client, [experiment_id], {Tag.SWEEP: sweep, Tag.KIND: Kind.TRIAL})
    return [run for run in runs if identity.owns(run.data.tags)]


def final_scalars(
    folder: TrialFolder, lines: Sequence[Line]
) -> tuple[dict[str, float], dict[str, str]]:
    """The numbers of a trial that has ended; of its training times, why some are missing."""
    measured = [line for line in lines if "valid_top1" in line.metrics]
    if not measured:
        return {}, {}
    best = max(measured, key=lambda line: line.metrics["valid_top1"])
    final = {"best_valid_top1": best.metrics["valid_top1"], "best_epoch": float(best.epoch)}
    final |= {name: value for name, value in lines[-1].metrics.items() if name in FINAL}
    times, reasons = of_folder(folder, lines)
    return final | times, reasons


class Projection:
    """Writes one sweep into MLflow; each method brings a part of it up to date.

    Creating a run is the one step of MLflow that is not repeatable, so it is never retried blindly:
    a run is looked for before it is made.
    """

    def __init__(
        self,
        uri: str,
        home: Home,
        plan: Plan,
        provenance: Mapping[str, Any],
        artifacts: Path | None = None,
    ):
        self.client = client_of(uri)
        self._plan, self._provenance = plan, provenance
        self._folder = SweepFolder.of(home, plan.sweep)
        self._identity = Identity.of(self._folder)
        self._artifacts = (artifacts or home.artifacts).resolve().as_uri()
        self._remote = is_server(uri)
        self.experiment_id = self._experiment_id()
        self._run_ids: dict[str, str] = {}
        self._described: set[str] = set()
        self._written: dict[str, int] = {}
        self._settled: dict[str, tuple[str, str]] = {}  # status and reason of what has ended
        own = (self.client, self.experiment_id, plan.sweep, self._identity)
        self._found = runs_of_trials(*own)
        self._reasoned: set[str] = set()
        for run in reversed(self._found):  # of twins the older one goes on
            key = run.data.tags[Tag.TRIAL_KEY]
            self._run_ids[key] = run.info.run_id
            self._reasoned |= {key} if Tag.REASON in run.data.tags else set()
            if run.info.status not in _OPEN:
                self._settled[key] = run.info.status, run.data.tags.get(Tag.REASON, "")
            else:  # an epoch trained again after a damaged checkpoint stays what it was here
                points = self.client.get_metric_history(run.info.run_id, "lr")
                self._written[key] = len(points)

    def _experiment_id(self) -> str:
        found = self.client.get_experiment_by_name(self._plan.variant)
        if found is not None:
            if found.lifecycle_stage == "deleted":  # in MLflow's pages; its runs come back, too
                self.client.restore_experiment(found.experiment_id)
            return found.experiment_id
        location = None if self._remote else f"{self._artifacts}/{self._plan.variant}"
        return self.client.create_experiment(self._plan.variant, artifact_location=location)

    def _run(self, tag: str, value: str, tags: dict[str, str | None]) -> str:
        """The id of the run whose `tag` is `value`, made if there is none; empty tags stay out."""
        if value not in self._run_ids:
            wanted = {Tag.SWEEP: self._plan.sweep, tag: value, Tag.KIND: str(tags[Tag.KIND])}
            found = [
                run
                for run in runs_of(self.client, [self.experiment_id], wanted)
                if self._identity.owns(run.data.tags)
            ]
            if found:
                self._run_ids[value] = found[0].info.run_id
            else:
                tags = {**tags, Tag.SWEEP_ID: self._identity.id}
                known = {name: text for name, text in tags.items() if text}
                made = self.client.create_run(
                    self.experiment_id, tags={**known, tag: value}, run_name=value
                )
                self._run_ids[value] = made.info.run_id
        return self._run_ids[value]

    def _parent(self) -> str:
        plan = self._plan
        tags = {
            Tag.KIND: Kind.SWEEP,
            Tag.VARIANT: plan.variant,
            Tag.DATA: plan.data_name,
            Tag.IMAGE_SIZE: str(plan.image_size),
            Tag.DATA_SHA256: plan.data_sha256,
            Tag.GIT_SHA: self._provenance.get("git_sha"),
            Tag.COMMAND: self._provenance.get("command"),
            Tag.PROVENANCE: json.dumps(self._provenance),
        }
        return self._run(Tag.SWEEP, plan.sweep, tags)

    def sweep(self, status: str = "RUNNING") -> None:
        """The parent run, with the plan and the sweep's provenance; trials' runs are beneath it."""
        run_id = self._parent()
        marks = {Tag.PARENT: run_id}  # the parent may have been deleted since they were made
        if self._identity.id:
            marks[Tag.SWEEP_ID] = self._identity.id
            self.client.set_tag(run_id, Tag.SWEEP_ID, self._identity.id)
        for run in self._found:
            for name, text in marks.items():
                if run.data.tags.get(name) != text:
                    self.client.set_tag(run.info.run_id, name, text)
        self.client.set_tag(run_id, Tag.PLAN, self._plan.to_json())
        self.client.update_run(run_id, status=status)

    def trial(self, record: Record) -> None:
        """One child run: parameters, the curve so far, final scalars, state and artifacts."""
        state = record.state  # the driver goes on meanwhile: what it changes now is told again
        status = STATUS[state]
        settled, reason = self._settled.get(record.key, ("", ""))
        if settled == status:
            if record.reason and reason != record.reason:  # a study that was lost had another
                self.client.set_tag(self.trial_run(record), Tag.REASON, record.reason)
                self._settled[record.key] = status, record.reason
            return
        folder = self._folder.trial(record.key)
        lines = trial_log.read(folder.metrics)
        run_id = self.trial_run(record)
        self._curve(run_id, lines[self._written.get(record.key, 0) :])
        self._written[record.key] = len(lines)
        self.client.set_tag(run_id, Tag.STATE, state.value)
        if not state.final:
            self.client.update_run(run_id, status=status)
            self._settled.pop(record.key, None)
            return
        if record.reason:
            self.client.set_tag(run_id, Tag.REASON, record.reason)
        elif record.key in self._reasoned:  # it was stopped once, and then the study was lost
            self.client.delete_tag(run_id, Tag.REASON)
            self._reasoned.remove(record.key)
        self._final(run_id, lines, folder)
        for file in (folder.confusion, folder.provenance, folder.config):
            if file.exists():
                self.client.log_artifact(run_id, str(file))
        self.client.set_terminated(run_id, status)
        self._settled[record.key] = status, record.reason

    def trial_run(self, record: Record) -> str:
        if record.key in self._described:
            return self._run_ids[record.key]
        from mlflow.entities import Param

        tags = {
            Tag.KIND: Kind.TRIAL,
            Tag.PARENT: self._parent(),
            Tag.SWEEP: self._plan.sweep,
            Tag.CONFIG_HASH: config_hash(record.params),
            Tag.GIT_SHA: self._provenance.get("git_sha"),
            Tag.DATA_SHA256: self._plan.data_sha256,
            Tag.PUBLISHED: record.published,
            Tag.REPEAT_OF: record.repeat_of,
        }
        run_id = self._run(Tag.TRIAL_KEY, record.key, tags)
        params = [
            Param(name, text) for name, text in self._plan.shown(record.params, record.seed).items()
        ]
        self.client.log_batch(run_id, params=params)  # the same again changes nothing
        self._described.add(record.key)
        return run_id

    def _curve(self, run_id: str, lines: list[Line]) -> None:
        """Metrics by epoch. A point said twice is the same point: its time is the line's own."""
        for line in lines:
            epoch = {name: value for name, value in line.metrics.items() if name in EPOCH}
            self._scalars(run_id, epoch, line, line.epoch)

    def _final(self, run_id: str, lines: list[Line], folder: TrialFolder) -> None:
        """Best and test values and times, once, so that the last value in MLflow's table is theirs.

        What there is no time of has its reason in a tag.
        """
        values, reasons = final_scalars(folder, lines)
        if values:
            self._scalars(run_id, values, lines[-1], 0)
            if why := "; ".join(f"{name}: {reason}" for name, reason in reasons.items()):
                self.client.set_tag(run_id, Tag.TRAINING_TIME_REASON, why)

    def _scalars(self, run_id: str, values: Mapping[str, float], line: Line, step: int) -> None:
        from mlflow.entities import Metric

        stamp = int(line.ended_unix_s * 1000)
        points = [Metric(name, float(value), stamp, step) for name, value in values.items()]
        self.client.log_batch(run_id, metrics=points)

    def efficiency(
        self, record: Record, values: Mapping[str, float], tags: Mapping[str, str]
    ) -> None:
        """Scalars and tags measured after the training, on the trial's run if it has others."""
        from mlflow.entities import Metric, RunTag

        run_id, stamp = self.trial_run(record), int(time.time() * 1000)
        known = self.client.get_run(run_id).data
        points = [
            Metric(name, float(value), stamp, 0)
            for name, value in values.items()
            if known.metrics.get(name) != value
        ]
        marks = [RunTag(name, tag) for name, tag in tags.items() if known.tags.get(name) != tag]
        self.client.log_batch(run_id, metrics=points, tags=marks)

    def tie(self, record: Record) -> None:
        """Mark a trial whose mean over seeds is among the best."""
        self.client.set_tag(self.trial_run(record), Tag.TIE, YES)

    def attach(self, record: Record, name: str, content: Any) -> None:
        """A JSON artifact of the trial's run, in place of an earlier one of that `name`."""
        self.client.log_dict(self.trial_run(record), content, name)
