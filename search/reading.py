"""Sweeps that exist, for the commands that look at them afterwards."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import optuna
from sqlalchemy.exc import SQLAlchemyError

from search import home, lock
from search.plan import OBJECTIVE, Plan
from search.study import SweepStudy
from spaces.space import nearest
from trainables.errors import BadRequestError, StorageError


def parser(command: str, meaning: str | None) -> argparse.ArgumentParser:
    """A command line of sweeps in a home."""
    root = argparse.ArgumentParser(prog=f"python -m {command}", description=meaning)
    root.add_argument("sweeps", nargs="*", metavar="SWEEP", help="all of the home without one")
    root.add_argument("--home", type=Path, default=home.default(), help="folder of everything")
    url = os.environ.get("SEARCH_DATABASE")
    root.add_argument("--database", default=url, help="SQLAlchemy URL of the studies (SQLite)")
    return root


def reopened(folder: Path, sweep: str, database: str | None) -> tuple[Plan, SweepStudy]:
    """The plan and the study of a sweep in the home `folder`. Raises StorageError without them."""
    place, file = folder / sweep / "plan.json", (folder / sweep / "study.db").resolve()
    if not database and not file.exists():  # SQLite would make it
        raise StorageError([f"the study {file} is missing; if it is elsewhere: --database URL"])
    url = database or f"sqlite:///{file}"
    try:
        plan = Plan.load(place)
    except (ValueError, TypeError) as error:
        raise StorageError([f"{place} cannot be read: {error}"]) from error
    try:
        loaded = optuna.load_study(study_name=sweep, storage=url)
    except KeyError as error:
        raise StorageError([f"no study {sweep!r} in its database"]) from error
    study = SweepStudy(
        loaded,
        plan.searched,
        directions=OBJECTIVE,
        image_size=plan.image_size,
        trials=plan.trials,
    )
    return plan, study


def mistakes(given: argparse.Namespace) -> list[str]:
    """What is wrong with the sweeps that are named."""
    known = home.sweeps(given.home)
    listed = ", ".join(known) or "none"
    wrong = [
        f"no sweep {sweep!r} in {given.home}{nearest(sweep, known)} (there: {listed})"
        for sweep in given.sweeps
        if sweep not in known
    ]
    if not known and not wrong:
        wrong = [f"no sweep in {given.home}; python -m search.run makes one"]
    return wrong


def each(given: argparse.Namespace, act: Callable[[Plan, SweepStudy], int]) -> int:
    """`act` on the named sweeps, or all, while no driver works on them; the worst exit code.

    Raises BadRequestError for unknown sweeps, SweepLockedError for one in use, and StorageError for
    a study that cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if wrong := mistakes(given):
        raise BadRequestError(wrong)
    codes = []
    try:
        for sweep in given.sweeps or home.sweeps(given.home):
            with lock.held(given.home / sweep):
                codes.append(act(*reopened(given.home, sweep, given.database)))
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise StorageError(str(error).splitlines()) from error
    return max(codes)
