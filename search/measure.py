"""Measure what models cost: those of sweeps quickly, single ones thoroughly.

    python -m search.measure [SWEEP ...]
    python -m search.measure SWEEP --trial KEY
    python -m search.measure --model hydra Hydra-S/16 --precision fp32 bf16 --mode eager compile

Of sweeps each distinct architecture is measured once, and written to the MLflow runs of all trials
that have it. `--trial` and `--model` measure again and again, in every mode and precision. Each
measurement is a fresh process with nothing of ours beside it. All of them are rows of the home's
`measurements.parquet`: an interrupted measuring goes on, and nothing is measured twice.
"""

import argparse
import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from reports.mlflow_contract import address
from search import reading
from search.cost_table import shown
from search.costs import Costs, subject_of
from search.measure_request import Request, parser, read
from search.measuring import Measuring
from search.plan import Plan
from search.projection import Projection
from search.study import SweepStudy
from search.terminal import progress_bar
from trainables.efficiency.repeats import measure_repeatedly
from trainables.efficiency.results import Results
from trainables.efficiency.subjects import Subject
from trainables.errors import Exit, StorageError, exit_code
from trainables.home import Home
from trainables.provenance import facts


def sweeps(given: argparse.Namespace, way: Measuring) -> int:
    """Measure what is not measured yet of the named sweeps' trials, or of all."""
    uri = address(given.home)

    def measure(plan: Plan, study: SweepStudy) -> int:
        costs = Costs(given.home, plan, way)
        with progress_bar(Console(), plan.sweep) as progress:
            costs.measure(study.accepted, progress)
        costs.publish(study.accepted, Projection(uri, given.home, plan, facts()))
        rows = [row for record in study.accepted if (row := costs.row(record))]
        failed = sum(not row["repeats"] for row in rows)
        sys.stdout.write(f"{plan.sweep}: {len(study.accepted)} trials, {failed} without values\n")
        return Exit.DONE

    return reading.each(given, measure)


def thoroughly(subjects: Sequence[Subject], home: Home, way: Measuring, request: Request) -> None:
    """Measure `subjects` as requested and print the table."""
    console, results, conditions = Console(), Results(home.path), way.conditions(request.seconds)
    with progress_bar(console, "measuring") as progress:
        measure_repeatedly(
            subjects,
            results,
            way.run,
            conditions,
            settings=request.settings,
            repeats=request.repeats,
            retry_failed=request.retry_failed,
            progress=progress,
        )
    results.table()
    rows = [
        row
        for subject in subjects
        for setting in request.settings
        if (row := results.get(conditions.of(subject, setting)))
    ]
    console.print(shown(rows, console.width))
    console.print(f"{way.device}; every number: {results.path}", highlight=False, soft_wrap=True)


def trials(given: argparse.Namespace, way: Measuring, request: Request) -> int:
    """Measure trials of a sweep, and models beside them; the trials' rows go to MLflow, too."""

    def measure(plan: Plan, study: SweepStudy) -> int:
        known = {record.key: record for record in study.accepted}
        if lost := [key for key in request.trials if key not in known]:
            said = f"the study does not know {lost}; see python -m search.verify"
            raise StorageError([said])
        sizes = request.image_sizes or [plan.image_size]
        named = [known[key] for key in request.trials]
        subjects = [subject_of(record, plan, size) for record in named for size in sizes]
        thoroughly([*subjects, *request.models], given.home, way, request)
        projection = Projection(address(given.home), given.home, plan, facts())
        Costs(given.home, plan, way).publish(named, projection)
        return Exit.DONE

    return reading.each(given, measure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure sweeps' trials, or models; exit codes: 0, 2, 3, 6, and 130 if interrupted."""
    for ending in (signal.SIGINT, signal.SIGTERM):  # or the measuring process would outlive us
        signal.signal(ending, signal.default_int_handler)
    given = parser(main.__doc__).parse_args(arguments)

    def run() -> int:
        way, request = read(given)
        if request is None:
            return sweeps(given, way)
        if request.trials:
            return trials(given, way, request)
        thoroughly(request.models, given.home, way, request)
        return Exit.DONE

    return exit_code(run, "interrupted; the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
