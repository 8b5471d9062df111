"""After how many epochs do searchers find what is good? Ours beside others, on known functions.

    python -m tests.benchmarks.search_quality --out FILE.jsonl
        [--methods ours random_search] [--objectives crossing limited] [--seeds 30]
        [--functions choosing] [--budget 1080] [--workers 4]

Prints a Markdown table: epochs in all until a trial of full length is within the target (median,
95 % bootstrap interval, share of runs that got there within the budget). A line of JSON a run is
appended to FILE.jsonl, and a run that it has is not made again. Several functions of a family take
turns with the seeds; searchers are chosen on the `choosing` ones, and `reporting` ones are others.
Methods are the files of `tests/benchmarks/peers`, `ours:SAMPLER:PRUNER` is ours with those; one
that is not installed is passed over with the reason.
"""

import argparse
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from tests.benchmarks import peers
from tests.benchmarks.found import cell, summary
from tests.benchmarks.objectives import CHOOSING, FAMILIES, REPORTING

FUNCTIONS = {"choosing": CHOOSING, "reporting": REPORTING}
IDENTITY = ("method", "objective", "function", "seed", "budget", "workers")

Run = dict[str, Any]


def identity(run: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(run[name] for name in IDENTITY)


def read(path: Path) -> list[Run]:
    """The runs of a file, which loses a torn last line."""
    written = path.read_text() if path.exists() else ""
    whole = written[: written.rfind("\n") + 1]
    if whole != written:
        path.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def wanted(given: argparse.Namespace) -> Iterable[Run]:
    """Every run that was asked for; the seeds outside, so that a cut-off table is even."""
    functions = FUNCTIONS[given.functions]
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for name in given.objectives:
            for method in given.methods:
                yield {
                    "method": method,
                    "objective": name,
                    "function": functions[seed % len(functions)],
                    "seed": seed,
                    "budget": given.budget,
                    "workers": given.workers,
                }


def made(run: Run) -> Run:
    """A run with its numbers."""
    objective = FAMILIES[run["objective"]](run["function"])
    start = time.process_time()
    with threadpool_limits(1):  # threads that wait for each other would be counted
        history = peers.runner(run["method"])(
            objective, seed=run["seed"], budget_epochs=run["budget"], workers=run["workers"]
        )
    seconds = round(time.process_time() - start, 2)
    return run | summary(history, objective) | {"cpu_seconds": seconds}


def table(runs: Iterable[Run], methods: Iterable[str], objectives: Iterable[str]) -> str:
    """The Markdown table."""
    columns, by_cell = list(objectives), {}
    for run in runs:
        by_cell.setdefault((run["method"], run["objective"]), []).append(run)
    lines = [f"| method | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for method in methods:
        cells = [by_cell.get((method, column)) for column in columns]
        told = [cell(found) if found else "" for found in cells]
        lines.append(f"| {method} | {' | '.join(told)} |")
    return "\n".join(lines)


def request() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a line of JSON for every run")
    parser.add_argument(
        "--methods", nargs="+", default=[name for name in peers.names() if name not in peers.SLOW]
    )
    parser.add_argument("--objectives", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--functions", choices=FUNCTIONS, default="choosing")
    parser.add_argument("--seeds", type=int, default=30, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--budget", type=int, default=1080, help="epochs of a run")
    parser.add_argument("--workers", type=int, default=4)
    given = parser.parse_args()
    try:
        for name in given.methods:
            peers.find(name)
    except ValueError as error:
        parser.error(str(error))
    return given


def main() -> None:
    given = request()
    have = {identity(run): run for run in read(given.out)}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    runs, reasons = [], {}
    for run in wanted(given):
        done = have.get(identity(run))
        if done is None:
            objective = FAMILIES[run["objective"]](run["function"])
            if reason := peers.missing(run["method"], objective):
                reasons[run["method"], run["objective"]] = reason
                continue
            done = made(run)
            with given.out.open("a") as file:
                file.write(json.dumps(done) + "\n")
        runs.append(done)
    print(table(runs, given.methods, given.objectives))
    for (method, objective), reason in reasons.items():
        print(f"{method} on {objective}: not run, {reason}")


if __name__ == "__main__":
    main()
