"""Do the study, the trials' folders and MLflow say the same?

    python -m search.verify [SWEEP ...] [--rebuild]

`--rebuild` writes MLflow again from the other two, and what was measured from the home's table of
measurements. Exit codes: 0 all agree, 1 they do not,
2 unknown sweep, 3 a driver is at work on it, 6 storage.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search import reading
from search.costs import Costs
from search.plan import Plan
from search.projection import STATUS, Projection, client_of, default_uri, runs_of
from search.record import Record, State
from search.study import SweepStudy
from trainables import checkpoint, records, trial_log
from trainables.provenance import facts
from trainables.trial_log import Line


@dataclass(slots=True)
class Verdict:
    """What was counted, and every disagreement."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def _folder(record: Record, folder: Path, verdict: Verdict) -> list[Line]:
    """Check a trial's folder against the study; returns its lines."""
    lines = trial_log.read(folder)
    wrong = verdict.problems
    epochs = [line.epoch for line in lines]
    if epochs != list(range(1, len(epochs) + 1)):
        wrong.append(f"{record.key}: the epochs of metrics.jsonl are {epochs}")
    if record.state == State.RUNNING:
        wrong.append(f"{record.key}: still running in the study; --resume finishes it")
    if record.epoch > max(epochs, default=0):
        wrong.append(f"{record.key}: the study knows epoch {record.epoch}, the folder does not")
    if record.state == State.COMPLETE and not (lines and lines[-1].state == "complete"):
        wrong.append(f"{record.key}: complete in the study, but its folder has no final line")
    if record.state == State.COMPLETE:
        damage = checkpoint.damage(folder / "best" / "weights")
        wrong.extend([damage] if damage else [])
    attempts = records.read_lines(folder / "attempts.jsonl")
    begun = [line["epoch"] for line in attempts if line["event"] == "epoch"]
    opened = sum(line["event"] == "open" for line in attempts)
    repeated = len(begun) - len(set(begun))
    verdict.counts["epochs"] += len(epochs)
    verdict.counts["repeated epochs"] += repeated
    verdict.counts["restarts"] += max(0, opened - 1)
    if repeated > max(0, opened - 1):
        wrong.append(f"{record.key}: {repeated} epochs repeated in {opened - 1} restarts")
    return lines


def _run(record: Record, runs: list[Any], lines: list[Line], client: Any, verdict: Verdict) -> None:
    """Check a trial's MLflow run against the study and the folder."""
    wrong = verdict.problems
    if len(runs) != 1:
        wrong.append(f"{record.key}: {len(runs)} MLflow runs")
        return
    run = runs[0]
    if run.info.status != STATUS[record.state]:
        wrong.append(f"{record.key}: {record.state} in the study, {run.info.status} in MLflow")
    for name in ("train_loss", "valid_top1"):
        wanted = {line.epoch: line.metrics[name] for line in lines if name in line.metrics}
        points = client.get_metric_history(run.info.run_id, name)
        found = Counter(point.step for point in points)
        if sorted(found) != sorted(wanted) or any(n > 1 for n in found.values()):
            wrong.append(f"{record.key}: {name} has steps {sorted(found.elements())} in MLflow")
        elif any(point.value != wanted[point.step] for point in points):
            wrong.append(f"{record.key}: {name} has other values in MLflow than in its folder")


def rebuild(study: SweepStudy, plan: Plan, folder: Path, uri: str) -> None:
    """Write a sweep into MLflow again, as its study, its folders and the measurements have it."""
    projection = Projection(uri, folder, plan, facts())
    for record in study.trained:
        projection.trial(record)
    Costs(folder, plan).publish(study.trained, projection)
    projection.sweep("RUNNING" if study.unfinished else "FINISHED")


def verify(study: SweepStudy, plan: Plan, home_folder: Path, client: Any) -> Verdict:
    """Compare the three, trial by trial, and look for what none of them should have."""
    verdict = Verdict()
    trials = home_folder / plan.sweep / "trials"
    known = {record.key: record for record in study.trained}
    experiment = client.get_experiment_by_name(plan.variant)
    runs: dict[str, list[Any]] = {}
    for run in runs_of(client, experiment.experiment_id, plan.sweep) if experiment else []:
        runs.setdefault(run.data.tags["trial_key"], []).append(run)
    for key, record in known.items():
        lines = _folder(record, trials / key, verdict)
        _run(record, runs.get(key, []), lines, client, verdict)
        verdict.counts[record.state] += 1
    folders = {path.name for path in trials.iterdir()} if trials.is_dir() else set()
    verdict.problems += [f"{key}: a folder the study does not know" for key in folders - set(known)]
    verdict.problems += [f"{key}: a run the study does not know" for key in set(runs) - set(known)]
    identities = Counter(str(sorted(record.params.items())) for record in known.values())
    verdict.problems += [f"trained {n} times: {c}" for c, n in identities.items() if n > 1]
    return verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify the named sweeps, or all of a home; returns the exit code."""
    parser = reading.parser("search.verify", main.__doc__)
    parser.add_argument("--rebuild", action="store_true", help="write MLflow again")
    given = parser.parse_args(arguments)
    uri = default_uri(given.home)

    def check(plan: Plan, study: SweepStudy) -> int:
        if given.rebuild:
            rebuild(study, plan, given.home, uri)
        verdict = verify(study, plan, given.home, client_of(uri))
        counts = ", ".join(f"{n} {what}" for what, n in verdict.counts.items())
        sys.stdout.write(f"{plan.sweep}: {len(study.trained)} trials ({counts})\n")
        for problem in verdict.problems:
            sys.stdout.write(f"  {problem}\n")
        agreed = "they do not agree" if verdict.problems else "study, folders and MLflow agree"
        sys.stdout.write(f"{plan.sweep}: {agreed}\n")
        return int(bool(verdict.problems))

    return reading.each(given, check)


if __name__ == "__main__":
    sys.exit(main())
