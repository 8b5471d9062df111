"""Do the study, the trials' folders and MLflow say the same?

    python -m search.verify [SWEEP ...] [--rebuild]

`--rebuild` writes MLflow again from the other two, and what was measured from the home's table of
measurements. Exit codes: 0 all agree, 1 they do not,
2 unknown sweep, 3 a driver is at work on it, 6 storage.
"""

import sys
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from reports.mlflow_contract import Kind, Tag, address, explained, runs_of, sqlite_file
from search import reading
from search.agreement import TrialCheck, Verdict
from search.costs import Costs
from search.identity import Identity
from search.mlflow_store import client_of
from search.plan import Plan
from search.projection import Projection, runs_of_trials
from search.record import Record
from search.study import SweepStudy
from search.sweep_folder import SweepFolder
from trainables.errors import Exit, StorageError, complain, exit_code
from trainables.home import Home
from trainables.provenance import facts


def rebuild(study: SweepStudy, plan: Plan, home: Home, uri: str) -> None:
    """Write a sweep into MLflow again, as its study, its folders and the measurements have it.

    Runs that say otherwise, that there are twice, or that no trial has are deleted there.
    """
    projection = Projection(uri, home, plan, facts())
    client, experiment = projection.client, projection.experiment_id
    for run_id in verify(study, plan, home, client).stale:
        for child in runs_of(client, [experiment], {Tag.PARENT: run_id}):
            client.delete_run(child.info.run_id)
        client.delete_run(run_id)
    projection = Projection(uri, home, plan, facts())
    for record in study.accepted:
        projection.trial(record)
    Costs(home, plan).publish(study.accepted, projection)
    projection.sweep("RUNNING" if study.unfinished else "FINISHED")


def _runs(
    client: Any, study: SweepStudy, plan: Plan, identity: Identity, verdict: Verdict
) -> tuple[str, dict[str, list[Any]]]:
    """The id of the sweep's own run, and the runs of its trials by their key."""
    runs: dict[str, list[Any]] = {}
    experiment = client.get_experiment_by_name(plan.variant)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        verdict.disagreements.append(f"MLflow has no experiment {plan.variant!r}")
        return "", runs
    for run in runs_of_trials(client, experiment.experiment_id, plan.sweep, identity):
        runs.setdefault(run.data.tags[Tag.TRIAL_KEY], []).append(run)
    own = {Tag.SWEEP: plan.sweep, Tag.KIND: Kind.SWEEP}
    named = runs_of(client, [experiment.experiment_id], own)
    parents = [run for run in named if identity.owns(run.data.tags)]
    if len(parents) != 1:
        verdict.disagreements.append(f"{len(parents)} MLflow runs of the sweep itself")
    for status in (run.info.status for run in parents[-1:]):
        if (status == "FINISHED") == study.unfinished:
            has = "has trials left" if study.unfinished else "has ended"
            verdict.disagreements.append(f"the sweep {has}, its run in MLflow is {status}")
    return parents[-1].info.run_id if parents else "", runs


def verify(study: SweepStudy, plan: Plan, home: Home, client: Any) -> Verdict:
    """Compare the three, trial by trial, and look for what none of them should have.

    Without a `client` of MLflow, compare the study and the folders.
    """
    verdict = Verdict()
    wrong = verdict.disagreements
    folder, costs, stored = SweepFolder.of(home, plan.sweep), Costs(home, plan), study.stored()
    wrong += costs.damages
    if not folder.plan.exists():
        wrong.append(f"{folder.plan} is lost; --resume writes it again")
    known = {record.key: record for record in study.accepted}
    parent, runs = _runs(client, study, plan, Identity.of(folder), verdict) if client else ("", {})
    for key, record in known.items():
        check, damages = TrialCheck(record, plan, folder.trial(key), verdict), len(wrong)
        check.study(stored[key])
        lines = check.lines(stored[key])
        check.files(lines)
        sound, twins = len(wrong) == damages, runs.get(key, [])
        if client and len(twins) != 1:
            wrong.append(f"{key}: {len(twins)} MLflow runs")
        for run in twins[:1]:
            check.run(run, parent, lines, client, costs.rows(record))
            if not sound:  # what MLflow has may be all that is left
                verdict.stale.discard(run.info.run_id)
        verdict.stale |= {run.info.run_id for run in twins[1:]}
        verdict.counts[record.state] += 1
    wrong += [
        f"{key}: a folder the study does not know" for key in folder.trial_keys() - set(known)
    ]
    for key in set(runs) - set(known):
        wrong.append(f"{key}: a run the study does not know")
        verdict.stale |= {run.info.run_id for run in runs[key]}
    wrong += _repeated(known.values(), plan)
    return verdict


def _repeated(records: Collection[Record], plan: Plan) -> list[str]:
    """Which configurations were trained more than once.

    Earlier versions knew not of values without effect: their trials may differ in nothing else.
    """
    told = [(str(sorted(record.params.items())), record) for record in records]
    same = Counter(text for text, _ in told)
    for text, record in told:
        effective = str(sorted(plan.searched.effective(record.params).items()))
        if effective != text and effective in same:
            same[effective] += 1
    return [f"trained {n} times: {c}" for c, n in same.items() if n > 1]


def compared(study: SweepStudy, plan: Plan, home: Home, uri: str) -> tuple[Verdict, str]:
    """What `verify` finds, without MLflow if that cannot be read; and why it cannot."""
    from mlflow.exceptions import MlflowException

    file = sqlite_file(uri)
    try:
        if file and not file.exists():  # it would be made
            raise StorageError([f"there is no {file}; --rebuild writes it again"])
        return verify(study, plan, home, client_of(uri)), ""
    except StorageError as error:
        away = str(error)
    except MlflowException as error:
        away = explained(error, uri)
    return verify(study, plan, home, None), away


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify the named sweeps, or all of a home; returns the exit code."""
    parser = reading.parser("search.verify", main.__doc__)
    parser.add_argument("--rebuild", action="store_true", help="write MLflow again")
    given = parser.parse_args(arguments)
    uri = address(given.home)

    def check(plan: Plan, study: SweepStudy) -> int:
        if given.rebuild:
            rebuild(study, plan, given.home, uri)
        verdict, away = compared(study, plan, given.home, uri)
        counts = ", ".join(f"{n} {what}" for what, n in verdict.counts.items())
        sys.stdout.write(f"{plan.sweep}: {len(study.accepted)} trials ({counts})\n")
        if verdict.older:
            said = f"note: {len(verdict.older)} trials are of an earlier version, without digests"
            sys.stdout.write(f"  {said}: what only their folders hold is not checked\n")
        for disagreement in verdict.disagreements:
            sys.stdout.write(f"  {disagreement}\n")
        stores = "study and folders agree" if away else "study, folders and MLflow agree"
        agreed = "they do not agree" if verdict.disagreements else stores
        sys.stdout.write(f"{plan.sweep}: {agreed}\n")
        if away:
            return complain([f"{plan.sweep}: MLflow is not compared: {away}"], Exit.STORAGE)
        return Exit.FAILED if verdict.disagreements else Exit.DONE

    return exit_code(lambda: reading.each(given, check))


if __name__ == "__main__":
    sys.exit(main())
