"""Sweeps that exist, for the commands that look at them afterwards."""

import argparse
from collections.abc import Callable

import optuna
from sqlalchemy.exc import SQLAlchemyError

from search import lock, storage
from search.plan import OBJECTIVE, Plan
from search.study import SweepStudy
from search.sweep_folder import SweepFolder, add_options, database_mistakes, sweeps
from spaces.space import nearest
from trainables.addresses import sqlite_url
from trainables.errors import BadRequestError, StorageError
from trainables.home import Home


def parser(command: str, meaning: str | None) -> argparse.ArgumentParser:
    """A command line of sweeps in a home."""
    root = argparse.ArgumentParser(prog=f"python -m {command}", description=meaning)
    root.add_argument("sweeps", nargs="*", metavar="SWEEP", help="all of the home without one")
    add_options(root)
    return root


def reopened(home: Home, sweep: str, database: str | None) -> tuple[Plan, SweepStudy]:
    """The plan and the study of a sweep. Raises StorageError without them."""
    folder = SweepFolder.of(home, sweep)
    file = folder.study.resolve()
    if not database and not file.exists():  # SQLite would make it
        raise StorageError([f"the study {file} is missing; if it is elsewhere: --database URL"])
    url = database or sqlite_url(file)
    try:
        plan = Plan.load(folder.plan)
    except (ValueError, TypeError) as error:
        raise StorageError([f"{folder.plan} cannot be read: {error}"]) from error
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
    known = sweeps(given.home)
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
    if wrong := database_mistakes(given.database) or mistakes(given):
        raise BadRequestError(wrong)
    codes = []
    try:
        for sweep in given.sweeps or sweeps(given.home):
            with lock.held(SweepFolder.of(given.home, sweep)):
                codes.append(act(*reopened(given.home, sweep, given.database)))
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise StorageError([f"the study cannot be read: {storage.reason(error)}"]) from error
    return max(codes)
