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
from typing import Any

from reports.mlflow_contract import STATUS, Tag, address
from search import reading
from search.costs import Costs
from search.plan import Plan
from search.projection import Projection, client_of, runs_of_trials
from search.record import Record, State
from search.study import SweepStudy
from search.sweep_folder import SweepFolder
from trainables import checkpoint, records, trial_log
from trainables.errors import Exit, exit_code
from trainables.home import Home
from trainables.provenance import facts
from trainables.trial_folder import TrialFolder
from trainables.trial_log import Line


@dataclass(slots=True)
class Verdict:
    """What was counted, and every disagreement."""

    counts: Counter[str] = field(default_factory=Counter)
    disagreements: list[str] = field(default_factory=list)


def _folder(record: Record, folder: TrialFolder, verdict: Verdict) -> list[Line]:
    """Check a trial's folder against the study; returns its lines."""
    lines = trial_log.read(folder.metrics)
    wrong = verdict.disagreements
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
        damage = checkpoint.damage(folder.best)
        wrong.extend([damage] if damage else [])
    attempts = records.read_lines(folder.attempts)
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
    wrong = verdict.disagreements
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


def rebuild(study: SweepStudy, plan: Plan, home: Home, uri: str) -> None:
    """Write a sweep into MLflow again, as its study, its folders and the measurements have it."""
    projection = Projection(uri, home, plan, facts())
    for record in study.accepted:
        projection.trial(record)
    Costs(home, plan).publish(study.accepted, projection)
    projection.sweep("RUNNING" if study.unfinished else "FINISHED")


def verify(study: SweepStudy, plan: Plan, home: Home, client: Any) -> Verdict:
    """Compare the three, trial by trial, and look for what none of them should have."""
    verdict = Verdict()
    wrong = verdict.disagreements
    folder = SweepFolder.of(home, plan.sweep)
    known = {record.key: record for record in study.accepted}
    experiment = client.get_experiment_by_name(plan.variant)
    runs: dict[str, list[Any]] = {}
    for run in runs_of_trials(client, experiment.experiment_id, plan.sweep) if experiment else []:
        runs.setdefault(run.data.tags[Tag.TRIAL_KEY], []).append(run)
    for key, record in known.items():
        lines = _folder(record, folder.trial(key), verdict)
        _run(record, runs.get(key, []), lines, client, verdict)
        verdict.counts[record.state] += 1
    wrong += [
        f"{key}: a folder the study does not know" for key in folder.trial_keys() - set(known)
    ]
    wrong += [f"{key}: a run the study does not know" for key in set(runs) - set(known)]
    identities = Counter(str(sorted(record.params.items())) for record in known.values())
    wrong += [f"trained {n} times: {c}" for c, n in identities.items() if n > 1]
    return verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify the named sweeps, or all of a home; returns the exit code."""
    parser = reading.parser("search.verify", main.__doc__)
    parser.add_argument("--rebuild", action="store_true", help="write MLflow again")
    given = parser.parse_args(arguments)
    uri = address(given.home)

    def check(plan: Plan, study: SweepStudy) -> int:
        if given.rebuild:
            rebuild(study, plan, given.home, uri)
        verdict = verify(study, plan, given.home, client_of(uri))
        counts = ", ".join(f"{n} {what}" for what, n in verdict.counts.items())
        sys.stdout.write(f"{plan.sweep}: {len(study.accepted)} trials ({counts})\n")
        for disagreement in verdict.disagreements:
            sys.stdout.write(f"  {disagreement}\n")
        agreed = "they do not agree" if verdict.disagreements else "study, folders and MLflow agree"
        sys.stdout.write(f"{plan.sweep}: {agreed}\n")
        return Exit.FAILED if verdict.disagreements else Exit.DONE

    return exit_code(lambda: reading.each(given, check))


if __name__ == "__main__":
    sys.exit(main())
