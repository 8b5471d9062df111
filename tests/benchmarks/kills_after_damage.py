"""Does a sweep survive kills of `--resume` at random moments after its stores were damaged?

    python -m tests.benchmarks.kills_after_damage [--kills 20] [--minutes 60] [--only NAME ...]

A sweep of tiny trials is interrupted half way. For each damage it starts from there: it is damaged
before every other kill, resumed, and the driver is killed 2 to 20 s later (`--latest` on a busy
machine, which starts Ray more slowly); at last it goes on to its end. Then `three_stores`, which
shares no code with the project, compares what it left, and what had ended before must be as it was,
and not have been trained again. Prints a table; exit code 1 if there is any difference.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.benchmarks.damaged_sweep import DAMAGES, SWEEP, TRIALS, Damage, Soak, end
from tests.benchmarks.three_stores import Trial, differences, of_folders

SOONEST_SECONDS, LIMIT_SECONDS = 2.0, 900.0


def killed(soak: Soak, more: list[str], latest: float) -> bool:
    """Resume and kill at a random moment; whether it was still at work then."""
    driver = soak.start(soak.command("--resume", *more))
    try:
        driver.wait(soak.rng.uniform(SOONEST_SECONDS, latest))
    except subprocess.TimeoutExpired:
        end(driver)
        return True
    if driver.returncode:
        raise RuntimeError(f"exit code {driver.returncode}:\n{soak.said()}")
    return False


def finished(soak: Soak, more: list[str]) -> None:
    driver = soak.start(soak.command("--resume", *more))
    try:
        driver.wait(LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        end(driver)
        raise RuntimeError(f"no end after {LIMIT_SECONDS:.0f} s:\n{soak.said()}") from None
    if driver.returncode:
        raise RuntimeError(f"exit code {driver.returncode}:\n{soak.said()}")


def changed(soak: Soak, before: dict[str, Trial], folders: dict[str, Trial]) -> list[str]:
    """What became otherwise of the trials that had ended before, or was trained again."""
    wrong, study, now = [], soak.study(), of_folders(soak.folder / "trials")
    for key, old in before.items():
        new = study.get(key, Trial())
        if old.state != "complete":  # one that was stopped may go on if the study was lost
            continue
        if (old.state, old.params, old.curves, old.final) != (
            *(new.state, new.params, new.curves, new.final),
        ):
            wrong.append(f"{key}: is not in the study as it had ended")
        if now[key].begun != folders[key].begun:
            wrong.append(f"{key}: was trained again, though it had ended")
    return wrong


def tried(
    soak: Soak, damage: Damage, kills: int, seconds: float, latest: float
) -> tuple[int, list[str]]:
    """How often it was killed after this damage, at most `kills` times; and what is wrong then."""
    soak.restore()
    before, folders = soak.study(), of_folders(soak.folder / "trials")
    deadline, done, trials, more = time.monotonic() + seconds, 0, TRIALS, list[str]()
    try:
        while done < kills and (not done or time.monotonic() < deadline):
            if done % 2 == 0:
                damage(soak)
            if killed(soak, more, latest):
                done += 1
            else:  # it came to its end: there must be more to do
                trials += 3
                more = ["--trials", str(trials)]
        finished(soak, more)
        wrong = differences(soak.home, SWEEP, soak.damaged) + changed(soak, before, folders)
    except RuntimeError as error:
        wrong = [str(error)]
    return done, wrong


def main() -> int:
    names = [damage.__name__ for damage in DAMAGES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="after each damage (20)")
    parser.add_argument("--minutes", type=float, default=60.0, help="for all damages together (60)")
    parser.add_argument("--latest", type=float, default=20.0, help="seconds until a kill (20)")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these damages")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    failures, share = 0, 60 * given.minutes / len(given.only)
    print(
        f"{'damage':20} {'kills':>5} {'trials':>6} {'epochs':>6} {'again':>5}  what it said",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as work:
        soak = Soak(Path(work), random.Random(given.seed))
        soak.prepare()
        for damage in (damage for damage in DAMAGES if damage.__name__ in given.only):
            done, wrong = tried(soak, damage, given.kills, share, given.latest)
            trained = [trial.begun for trial in of_folders(soak.folder / "trials").values()]
            epochs, begun = sum(map(len, trained)), sum(map(Counter.total, trained))
            row = f"{damage.__name__:20} {done:5} {len(trained):6} {epochs:6} {begun - epochs:5}"
            print(f"{row}  {soak.noted()}", *(f"  {text}" for text in wrong), sep="\n", flush=True)
            failures += bool(wrong)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
