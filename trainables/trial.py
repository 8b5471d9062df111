"""One trial: it is opened (built or restored) and trained epoch by epoch. Plain PyTorch, no Ray.

A trial that is stopped at any epoch and opened again goes on as if it had never stopped; `learner`
says why.
"""

import json
import math
import os
import runpy
import shutil
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainables import checkpoint, records, stages, trial_log
from trainables.config import TrialConfig
from trainables.provenance import facts
from trainables.shortage import out_of_memory
from trainables.team import Team
from trainables.training.learner import Learner
from trainables.training.learning_rate import learning_rate
from trainables.trial_folder import TrialFolder
from trainables.trial_log import Line


class Trial:
    """One worker's part of the training of a configuration.

    Args:
        config: what is trained.
        directory: holds the files of a `TrialFolder`. Opening an existing one restores the trial;
            the first epoch takes the directory over.
        team: who trains.
        known_epoch: the last epoch that the caller knows; if the directory holds later ones, their
            lines are answered without training.
        stages_folder: where first stages are kept, by default in the directory.

    Raises:
        ValueError: the model cannot be built, or the directory holds another configuration's trial.
    """

    def __init__(
        self,
        config: TrialConfig,
        directory: Path,
        team: Team,
        known_epoch: int = 0,
        stages_folder: Path | None = None,
    ):
        self.config, self.directory, self.team = config, directory, team
        self._files = TrialFolder(directory)
        self._stages = stages_folder or self._files.stages
        self._known_epoch, self._taken = known_epoch, False
        self._open()

    def _open(self) -> None:
        """Find out where the trial stands. Writes nothing: maybe no epoch will be asked for."""
        self.epochs_done = 0
        self.best: dict[str, Any] = {"epoch": 0, "valid_top1": -1.0, "model": {}}
        self.notes: list[str] = []
        self._found = self._lines = self._read()
        self.finished = bool(self._found) and self._found[-1].done
        if not self.finished:
            self.learner = Learner(self.config, self.team)
            self._lines = self._restored(self._found)
        self._answers = deque(line for line in self._lines if line.epoch > self._known_epoch)

    def _take(self) -> None:
        """Before the first epoch: take the directory over.

        Since it was opened, another lane may have trained on, even to the end.
        """
        self._taken = True
        if self._read() != self._found:
            self._open()
        if self.team.leads and not self.finished:
            if self._lines or self._files.metrics.exists():  # a torn last line goes too
                trial_log.replace(self._files.metrics, self._lines)
            records.replace_json(self._files.config, self.config.flat())
            self._write_provenance()
        self._note_start(event="open", epoch=self.epochs_done, pid=os.getpid())

    def _write_provenance(self) -> None:
        found = {**facts(), **self.learner.facts()}
        records.replace_json(self._files.provenance, found)

    def _read(self) -> list[Line]:
        found: tuple[list[Line], list[str]] = [], []
        if self.team.leads:
            self.directory.mkdir(parents=True, exist_ok=True)
            found = trial_log.read(self._files.metrics), self._changes()
        lines, changes = self.team.agree(found)
        if changes:
            said = f"{self.directory} holds another trial ({'; '.join(changes)})"
            raise ValueError(f"{said}; give another directory or remove this one")
        return lines

    def _changes(self) -> list[str]:
        """Differences from the configuration that trained here before; the data may have moved."""
        path, now = self._files.config, self.config.flat()
        try:
            before = json.loads(path.read_text()) if path.exists() else now
        except ValueError:  # damaged: the first epoch writes it again
            before = now
        return [
            f"{name}: was {before.get(name)!r}, now {now.get(name)!r}"
            for name in sorted((before.keys() | now.keys()) - {"data"})
            if before.get(name) != now.get(name)
        ]

    def _restored(self, lines: list[Line]) -> list[Line]:
        """Load the newest commit that is whole; returns the lines up to it, which the log keeps.

        A commit has them all, so that damaged ones are replaced; an earlier version's has its own.
        """
        name = None
        if self.team.leads:
            name, self.notes = checkpoint.latest(self._files.checkpoints)
        name = self.team.agree(name)
        reached: list[Line] = []
        if name:
            state = checkpoint.load(self._files.checkpoints / name)
            self.learner.load(state)
            self.best, last = state["best"], Line.of(state["line"])
            self.epochs_done = last.epoch
            earlier = [line for line in lines if line.epoch < self.epochs_done] + [last]
            reached = [Line.of(line) for line in state["lines"]] if "lines" in state else earlier
        return reached

    def _note_start(self, **event: Any) -> None:
        """Note that something starts, so that it is known later what was done twice."""
        if self.team.leads:
            line = {"at": datetime.now(UTC).isoformat(), **event}
            records.append_line(self._files.attempts, line, sync=False)

    def epoch(self) -> Line:
        """Train one epoch, validate, commit; returns its line of `metrics.jsonl`.

        A loss that is not finite, or too little memory, is a result and not a crash: the line is
        then the last one, `failed` or `infeasible`.
        """
        if not self._taken:
            self._take()
        if self._answers:
            return self._answers.popleft()
        if self.finished:
            raise RuntimeError(f"trial {self.directory.name} has ended and has no further epoch")
        number = self.epochs_done + 1
        self._note_start(event="epoch", epoch=number)
        try:
            line = self._advance(number)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            reason = f"out of memory in epoch {number}: {str(error).splitlines()[0]}"
            line = Line(epoch=number, state="infeasible", reason=reason)
        digests = self._files.digests() if line.done and self.team.leads else {}
        line = replace(line, notes=tuple(self.notes), ended_unix_s=time.time(), files=digests)
        self.notes = []
        self.epochs_done, self.finished = number, line.done
        self._record(line)
        return line

    def _advance(self, number: int) -> Line:
        """Train and validate epoch `number`; after the last one, test."""
        if number == 1 and (trouble := self._begin()):
            return trouble
        if self.learner.prepare(number) and self.team.leads:
            self._write_provenance()
        start = time.perf_counter()
        score, auxiliary_loss = self.learner.train(number)
        trained = score.metrics("train")
        middle = time.perf_counter()
        valid = self.learner.score("valid").metrics("valid")
        end = time.perf_counter()
        lr = learning_rate(self.config.recipe, number - 1, self.config.task.epochs)
        metrics = {
            "train_loss": trained["train_loss"],
            "train_top1": trained["train_top1"],
            **valid,
            "lr": lr,
            "train_seconds": middle - start,
            "valid_seconds": end - middle,
            "train_images_per_s": self.learner.train_images / (middle - start),
        }
        if auxiliary_loss is not None:
            metrics["train_auxiliary_loss"] = auxiliary_loss
        for name, value in metrics.items():
            if not math.isfinite(value):
                reason = f"{name} is {value} in epoch {number} at lr {lr:g}"
                return Line(epoch=number, state="failed", reason=reason)
        if metrics["valid_top1"] > self.best["valid_top1"]:
            weights = {key: value.clone() for key, value in self.learner.state()["model"].items()}
            self.best = {"epoch": number, "valid_top1": metrics["valid_top1"], "model": weights}
        task, waited = self.config.task, number - self.best["epoch"]
        if number == task.epochs or waited >= task.patience:
            return Line(epoch=number, metrics=metrics | self._finish(), state="complete")
        return Line(epoch=number, metrics=metrics)

    def _begin(self) -> Line | None:
        """Start from the first stage, if there is one; returns the trial's last line if it failed.

        The commit of epoch 1 holds what came of it.
        """

        def train(config: TrialConfig, folder: Path) -> Line:
            trial = Trial(config, folder, self.team)
            while not (line := trial.epoch()).done:
                pass
            return line

        last, note = stages.begin(self.config, self.learner, self._stages, train)
        self.notes += note
        if last is None or last.state == "complete":
            return None
        return Line(epoch=1, state=last.state, reason=f"in its first stage: {last.reason}")

    def _finish(self) -> dict[str, float]:
        """Test once with the best weights, and keep these."""
        self.learner.model.load_state_dict(self.best["model"])
        scores = {split: self.learner.score(split) for split in ("valid", "test")}
        if self.team.leads:
            confusion = {split: score.confusion.int().tolist() for split, score in scores.items()}
            classes = {"classes": list(self.learner.dataset.classes), "rows": "true class"}
            records.replace_json(self._files.confusion, classes | confusion)
            checkpoint.commit(self._files.best.parent, self._files.best.name, self.best, keep=1)
        best = {"best_valid_top1": self.best["valid_top1"], "best_epoch": self.best["epoch"]}
        return {**best, **scores["test"].metrics("test")}

    def _record(self, line: Line) -> None:
        """Write the commit before the line: whoever has seen the line finds the commit."""
        if not self.team.leads:
            return
        self._lines = [*self._lines, line]
        if not self.finished:
            state = {**self.learner.state(), "best": self.best, "line": line.document()}
            state["lines"] = [one.document() for one in self._lines]
            name = f"epoch-{self.epochs_done:05d}"
            checkpoint.commit(self._files.checkpoints, name, state, keep=2)
        trial_log.append(self._files.metrics, line)
        if self.finished:
            shutil.rmtree(self._files.checkpoints, ignore_errors=True)


if __name__ == "__main__":  # the earlier name of `python -m trainables`
    runpy.run_module("trainables", run_name="__main__")
