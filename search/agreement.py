"""Whether a sweep's study, its trials' folders and MLflow say the same: every number they share."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from optuna.trial import FrozenTrial

from reports.mlflow_contract import EARLIER_STATES, STATUS, Tag
from search.plan import Plan
from search.projection import final_scalars
from search.record import Record, State, config_hash, told_of
from trainables import checkpoint, trial_log
from trainables.metrics import EFFICIENCY, EPOCH, FINAL, TRAINING_TIME
from trainables.trial_folder import TrialFolder
from trainables.trial_log import Line

_TEXT = 1000  # characters of a tag that are compared
Rows = list[dict[str, Any]]  # of the table of measurements


@dataclass(slots=True)
class Verdict:
    """What was counted, and every disagreement.

    `older` are trials whose folders have no digests, `stale` runs of MLflow that say something else
    than a folder that is sound.
    """

    counts: Counter[str] = field(default_factory=Counter[str])
    disagreements: list[str] = field(default_factory=list[str])
    older: set[str] = field(default_factory=set[str])
    stale: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True)
class TrialCheck:
    """Compares what is known of one trial; everything that is wrong goes to `verdict`."""

    record: Record
    plan: Plan
    folder: TrialFolder
    verdict: Verdict

    def _wrong(self, text: str) -> None:
        self.verdict.disagreements.append(f"{self.record.key}: {text}")

    def study(self, stored: FrozenTrial) -> None:
        """What the study says twice."""
        params = self.record.params
        drawn = {**self.plan.searched.fixed, **stored.params}
        for name in sorted(drawn.keys() | params.keys()):
            if drawn.get(name) != params.get(name):
                said = f"{drawn.get(name)!r} and {params.get(name)!r}"
                self._wrong(f"{name} is {said} in the study")
        if self.record.hash[:8] != self.record.key.partition("-")[2]:
            self._wrong("its parameters in the study are not those of its key")
        told = stored.user_attrs.get("values")
        if stored.values and told is not None and list(stored.values) != list(told):
            self._wrong(f"its value is {stored.values} and {told} in the study")

    def lines(self, stored: FrozenTrial) -> list[Line]:
        """Check a trial's folder against the study; returns its sound lines."""
        found = trial_log.scan(self.folder.metrics)
        lines: list[Line] = found.sound
        self.verdict.disagreements += found.damages
        if not found.sealed:
            self.verdict.older.add(self.record.key)
        epochs = [line.epoch for line in lines]
        if epochs != list(range(1, len(epochs) + 1)):
            self._wrong(f"the epochs of metrics.jsonl are {epochs}")
        if not self.record.state.final:
            self._wrong(f"still {self.record.state} in the study; --resume finishes the sweep")
        if self.record.epoch > max(epochs, default=0):
            self._wrong(f"the study knows epoch {self.record.epoch}, the folder does not")
        for place, name in enumerate(self.plan.learned):
            values = {line.epoch: line.metrics.get(name) for line in lines}
            for epoch, point in self.record.curve.items():
                if values.get(epoch, point[place]) != point[place]:
                    said = f"{point[place]} in the study, {values[epoch]} in its folder"
                    self._wrong(f"{name} of epoch {epoch} is {said}")
        self._end(lines, stored)
        self._attempts(len(epochs))
        return lines

    def _end(self, lines: list[Line], stored: FrozenTrial) -> None:
        """How the trial ended, and the best of it."""
        state, last = self.record.state, lines[-1] if lines else Line(epoch=0)
        if state == State.COMPLETE and last.state != "complete":
            self._wrong("complete in the study, but its folder has no final line")
        elif state.final and last.done and last.state != state:
            self._wrong(f"{state} in the study, {last.state} in its folder")
        ended_badly = state in (State.FAILED, State.INFEASIBLE)
        if ended_badly and last.reason and last.reason != self.record.reason:
            self._wrong("its reason in the study is not that of its folder")
        if state != State.COMPLETE or last.state != "complete":
            return
        scores = {n.epoch: n.metrics["valid_top1"] for n in lines if "valid_top1" in n.metrics}
        best = last.metrics.get("best_valid_top1")
        known = told_of(self.record, last.metrics, self.plan.learned)
        for name, told in zip(self.plan.objectives, stored.values or (), strict=False):
            if told != known[name]:
                named = f"best_{name}" if f"best_{name}" in FINAL else name
                self._wrong(f"{named} is {told} in the study, {known[name]} in its folder")
        if best not in scores.values() or best != max(scores.values()):
            self._wrong(f"best_valid_top1 is {best}, but its epochs have {sorted(scores.values())}")
        elif scores.get(int(last.metrics.get("best_epoch", 0))) != best:
            self._wrong(f"best_epoch is {last.metrics.get('best_epoch')}, which has not {best}")

    def _attempts(self, epochs: int) -> None:
        found = trial_log.scan_attempts(self.folder.attempts)
        self.verdict.disagreements += found.damages
        begun = [line["epoch"] for line in found.sound if line["event"] == "epoch"]
        opened = sum(line["event"] == "open" for line in found.sound)
        repeated = len(begun) - len(set(begun))
        self.verdict.counts["epochs"] += epochs
        self.verdict.counts["repeated epochs"] += repeated
        self.verdict.counts["restarts"] += max(0, opened - 1)
        if repeated > max(0, opened - 1) and not found.damages:
            self._wrong(f"{repeated} epochs repeated in {opened - 1} restarts")

    def files(self, lines: list[Line]) -> None:
        """What the folder alone holds: by the last line's digests, else whether it is sound."""
        if self.record.state == State.COMPLETE:
            if damage := checkpoint.damage(self.folder.best):
                self.verdict.disagreements.append(damage)
            self._confusion()
        digests: Mapping[str, str] = lines[-1].files if lines else {}
        for name, digest in digests.items():
            file = self.folder.path / name
            if not file.exists():
                self._wrong(f"{name} is missing")
            elif hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                self._wrong(f"{name} is not what was written: its sha256 differs")
        flat = self._document("config.json")
        wanted = self.plan.flat(self.record.params, self.record.seed)
        for name in sorted(wanted.keys() & flat.keys() - {"data"}):
            if wanted[name] != flat[name]:
                said = f"{wanted[name]!r} in the study, {flat[name]!r} in config.json"
                self._wrong(f"{name} is {said}")
        self._document("provenance.json")

    def _confusion(self) -> None:
        found = self._document("confusion.json")
        for split in ("valid", "test"):
            if not _is_square(found.get(split, [])):
                self._wrong(f"confusion.json has no square of counts for {split}")

    def _document(self, name: str) -> Mapping[str, Any]:
        file = self.folder.path / name
        if not file.exists():
            return {}
        try:
            found = json.loads(file.read_bytes())
        except ValueError as error:
            self._wrong(f"{name} cannot be read ({error})")
            return {}
        if not isinstance(found, dict):
            self._wrong(f"{name} holds no JSON object")
            return {}
        return cast(dict[str, Any], found)

    def run(self, run: Any, parent: str, lines: list[Line], client: Any, rows: Rows) -> None:
        """Check the trial's MLflow run against the study, the folder and the measurements."""
        before = len(self.verdict.disagreements)
        if run.info.status != STATUS[self.record.state]:
            said = f"{self.record.state} in the study, {run.info.status} in MLflow"
            self._wrong(said)
        if run.data.tags.get(Tag.PARENT) != parent:
            self._wrong("its run is not beneath the sweep's in MLflow")
        self._same(
            "parameter", self.plan.shown(self.record.params, self.record.seed), run.data.params
        )
        reason = self.record.reason if self.record.state.final else ""
        tags = {Tag.STATE: self.record.state.value, Tag.REASON: reason or None}
        tags |= {Tag.CONFIG_HASH: config_hash(self.record.params)}
        found = {name: run.data.tags.get(name) for name in tags}
        found[Tag.STATE] = EARLIER_STATES.get(found[Tag.STATE], found[Tag.STATE])
        self._same("tag", tags, found)
        for name in EPOCH:
            self._curve(name, run, lines, client)
        if self.record.state.final:
            wanted, _ = final_scalars(self.folder, lines)
            known = run.data.metrics
            finals = {n: known[n] for n in (*FINAL, *TRAINING_TIME) if n in known}
            self._same("metric", wanted, finals)
        for name in EFFICIENCY.keys() & run.data.metrics.keys():
            if all(row.get(name) != run.data.metrics[name] for row in rows):
                value = run.data.metrics[name]
                self._wrong(f"{name} is {value} in MLflow, which no measurement has")
        if len(self.verdict.disagreements) > before:
            self.verdict.stale.add(run.info.run_id)

    def _curve(self, name: str, run: Any, lines: list[Line], client: Any) -> None:
        wanted = {line.epoch: line.metrics[name] for line in lines if name in line.metrics}
        if not wanted and name not in run.data.metrics:
            return
        points = client.get_metric_history(run.info.run_id, name)
        found = Counter(point.step for point in points)
        if sorted(found) != sorted(wanted) or any(n > 1 for n in found.values()):
            self._wrong(f"{name} has steps {sorted(found.elements())} in MLflow")
        elif any(point.value != wanted[point.step] for point in points):
            self._wrong(f"{name} has other values in MLflow than in its folder")

    def _same(self, kind: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        for name in sorted(wanted.keys() | found.keys()):
            here, there = wanted.get(name), found.get(name)
            if isinstance(here, str) and isinstance(there, str):
                here, there = here[:_TEXT], there[:_TEXT]
            if here != there:
                self._wrong(f"the {kind} {name} is {there!r} in MLflow and must be {here!r}")


def _is_square(rows: Any) -> bool:
    """Whether these are as many rows of as many counts."""
    lines = _listed(rows)
    return lines is not None and all(_are_counts(_listed(row), len(lines)) for row in lines)


def _are_counts(row: list[Any] | None, length: int) -> bool:
    return (
        row is not None and len(row) == length and all(isinstance(n, int) and n >= 0 for n in row)
    )


def _listed(value: Any) -> list[Any] | None:
    """`value` if it is a list."""
    return cast(list[Any], value) if isinstance(value, list) else None
