"""What do samplers find in as many epochs of real training? Small Linformers on `digits`.

    python -m tests.benchmarks.real_search --home FOLDER [--seeds 3] [--trainings 60] [--lanes 2]

Whole sweeps through Ray, in the space of the recorded curves, each with the epochs of so many full
trainings: ours, TPE that stops nothing, and TPE with successive halving. Published points are left
out, since they would be the same. A sweep that is there is resumed. Prints the best validation
accuracy so far, after parts of the epochs: the median over the seeds, least and most.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from search.sweep_folder import SweepFolder
from tests.benchmarks.objectives import digits_space
from tests.benchmarks.objectives.digits_space import EPOCHS, IMAGE_SIZE
from trainables import records
from trainables.home import Home

METHODS = {
    "freeze-thaw": (),
    "TPE, none stopped": ("--sampler", "tpe", "--pruner", "none"),
    "TPE, halving": ("--sampler", "tpe", "--pruner", "halving"),
}
PARTS = (6, 3, 2, 1)  # of all epochs


def name_of(method: str, seed: int) -> str:
    return f"{method.replace(', ', '-').replace(' ', '-').lower()}-{seed}"


def run(home: Path, method: str, seed: int, trainings: int, lanes: int) -> None:
    """One sweep, to its end; its messages go to the terminal."""
    name = name_of(method, seed)
    command = [sys.executable, "-m", "search.run", "linformer", "--home", str(home), "--name", name]
    command += ["--data", "digits", "--space", digits_space.__file__, "--published", "0"]
    command += ["--epochs", str(EPOCHS), "--image-size", str(IMAGE_SIZE), "--patience", str(EPOCHS)]
    command += ["--total-epochs", str(trainings * EPOCHS), "--seed", str(seed)]
    command += ["--lanes", str(lanes), "--no-measure", *METHODS[method]]
    command += ["--resume"] if SweepFolder(home / name).plan.exists() else []
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def best_so_far(trials: Path) -> list[float]:
    """The highest validation accuracy after each epoch of all trials, in the order of time."""
    lines = [
        line
        for folder in trials.iterdir()
        for line in records.scan(folder / "metrics.jsonl").sound
        if "valid_top1" in line
    ]
    best: list[float] = []
    for line in sorted(lines, key=lambda line: line["ended_unix_s"]):
        best.append(max([line["valid_top1"], *best[-1:]]))
    return best


def row(home: Path, method: str, seeds: int, epochs: int) -> str:
    curves = [best_so_far(home / name_of(method, seed) / "trials") for seed in range(seeds)]
    cells = []
    for part in PARTS:
        values = [100 * curve[min(len(curve), epochs // part) - 1] for curve in curves]
        middle = statistics.median(values)
        cells.append(f"{middle:.2f} ({min(values):.2f} to {max(values):.2f})")
    return f"| {method} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="where the sweeps are and stay")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--trainings", type=int, default=60, help="full ones, whose epochs a sweep has"
    )
    parser.add_argument("--lanes", type=int, default=2)
    given = parser.parse_args()
    home = Home(given.home.resolve()).path
    for seed in range(given.seeds):
        for method in METHODS:
            run(home, method, seed, given.trainings, given.lanes)
    epochs = given.trainings * EPOCHS
    print(f"| best validation accuracy, % | {' | '.join(f'{epochs // p} epochs' for p in PARTS)} |")
    print("|---" * (len(PARTS) + 1) + "|")
    for method in METHODS:
        print(row(home, method, given.seeds, epochs))


if __name__ == "__main__":
    main()
