"""What does --until-settled save, and how often does it stop what would have become better?

    python -m tests.benchmarks.settled [--objectives crossing flat] [--seeds 10]
        [--functions reporting] [--budget 1080]

Each run is made until it is settled, and, if that was before its budget, to its end too: the two
decide the same until then. A stop is false if the true value of the best trial of full length
became better after it by more than the noise of a value (of two objectives: by a hundredth of the
best hypervolume). Prints a Markdown table.
"""

import argparse

from search.simulation import Row
from tests.benchmarks.found import progress
from tests.benchmarks.objectives import CHOOSING, FAMILIES, REPORTING, Objective
from tests.benchmarks.peers import ours

FUNCTIONS = {"choosing": CHOOSING, "reporting": REPORTING}
WORKERS = 4
SHARE = 0.01  # of a hypervolume, that counts as better


def missed(objective: Objective, ended: list[Row], whole: list[Row]) -> bool:
    """Whether the whole sweep found what is better by more than the noise."""
    before, after = (progress(rows, objective) for rows in (ended, whole))
    if not before or not after:
        return bool(after)
    gain = abs(after[-1][1] - before[-1][1])
    return gain > (SHARE if objective.reference else objective.noise)


def row(name: str, given: argparse.Namespace) -> str:
    """The line of the table for one family."""
    functions, stops, false, saved = FUNCTIONS[given.functions], 0, 0, 0.0
    for seed in range(given.seeds):
        objective = FAMILIES[name](functions[seed % len(functions)])
        asked = {"seed": seed, "budget_epochs": given.budget, "workers": WORKERS}
        ended = ours.run(objective, **asked, until_settled=True)
        if len(ended) == given.budget:
            continue
        whole = ours.run(objective, **asked)
        stops += 1
        false += missed(objective, ended, whole)
        saved += 1 - len(ended) / given.budget
    return f"| {name} | {given.seeds} | {stops} | {false} | {saved / given.seeds:.0%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objectives", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--functions", choices=FUNCTIONS, default="reporting")
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--budget", type=int, default=1080, help="epochs of a run")
    given = parser.parse_args()
    print("| function | runs | stopped | falsely | epochs saved, of all runs |")
    print("|---|---|---|---|---|")
    for name in given.objectives:
        print(row(name, given), flush=True)


if __name__ == "__main__":
    main()
