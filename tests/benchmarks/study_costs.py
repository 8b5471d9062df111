"""What does bookkeeping cost: a suggestion, an epoch's report, and the opening of a study?

    python -m tests.benchmarks.study_costs [--trials 100 500 1000] [--database URL] [--asks 20]

Fills a study with trials as a sweep would leave them (a quarter complete, a quarter stopped at the
second rung, half at the first), then opens it and goes on. Prints medians of CPU time on one core,
with the share of suggestions that fitted the model again left in. SQLite in a temporary folder
unless a database is given.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import spaces
from search.ledger import Ledger
from search.record import ACCEPTED, State, config_hash
from search.samplers import rungs
from search.sampling import create
from search.study import SweepStudy
from search.study_file import StudyFile
from search.sweep_folder import SweepFolder

EPOCHS = 27
DIRECTIONS = {"valid_top1": "max"}
SPACE = spaces.load("linformer")


def value(params: dict[str, Any], epoch: int) -> float:
    return (0.9 - abs(float(params["lr"]) - 1e-3) * 20) * (1 - 0.8**epoch)


def fill(study: Any, trials: int) -> None:
    rng, ledger = random.Random(0), Ledger(study, SPACE, 1)
    ends = [*rungs(EPOCHS), EPOCHS]
    while ledger.count < trials:
        params = SPACE.draw(rng)
        if SPACE.broken(params, 224):
            continue
        number = ledger.count
        end = ends[(0, 0, 1, 2)[number % 4]]
        state = State.COMPLETE if end == EPOCHS else State.STOPPED
        curve = {epoch: value(params, epoch) for epoch in range(1, end + 1)}
        key = f"{number:05d}-{config_hash(params)[:8]}"
        decision = {"number": number, "why": {"because": "filled"}, "news": []}
        told = {"params": params, ACCEPTED: True, "trial_key": key, "decisions": [decision]}
        told |= {"state": state.value, "reason": "filled"}
        ledger.add(params, told)
        for epoch in (1, *(e for e in ends if e <= end)):
            ledger.report(number, epoch, (curve[epoch],))
        ledger.end(number, state, [curve[end]])


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 500, 1000])
    parser.add_argument("--database")
    parser.add_argument("--asks", type=int, default=20)
    given = parser.parse_args()
    print("| trials | opening, s | suggestion, ms (median) | longest | report, ms (median) |")
    print("|---|---|---|---|---|")
    for trials in given.trials:
        with tempfile.TemporaryDirectory() as folder:
            file = StudyFile(SweepFolder(Path(folder)))
            name = f"costs-{trials}-{time.time_ns()}"
            fill(create(name, DIRECTIONS, given.database or file.storage()), trials)
            storage = given.database or file.storage()
            opening, study = seconds(
                lambda storage=storage, name=name: SweepStudy(
                    create(name, DIRECTIONS, storage),
                    SPACE,
                    directions=DIRECTIONS,
                    max_epochs=EPOCHS,
                )
            )
            asks, reports = [], []
            for _ in range(given.asks):
                spent, record = seconds(study.next)
                asks.append(spent)
                for epoch in range(record.epoch + 1, EPOCHS + 1):
                    metrics = {"valid_top1": value(record.params, epoch)}
                    spent, ends = seconds(
                        lambda epoch=epoch, metrics=metrics, key=record.key: study.report(
                            key, epoch, metrics
                        )
                    )
                    reports.append(spent)
                    if ends:
                        break
            row = f"| {trials} | {opening:.2f} | {1e3 * statistics.median(asks):.1f} | "
            row += f"{1e3 * max(asks):.0f} | {1e3 * statistics.median(reports):.2f} |"
            print(row, flush=True)


if __name__ == "__main__":
    main()
