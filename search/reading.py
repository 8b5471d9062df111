"""Sweeps that exist, for the commands that look at them afterwards."""

import argparse
import math
from collections.abc import Callable
from typing import Any

import optuna
from sqlalchemy.exc import SQLAlchemyError

from reports.mlflow_contract import address, explained
from search import lock, storage
from search.clock import Clocks
from search.identity import planned, refuse_another
from search.opening import study_of
from search.plan import Plan
from search.quantities import Quantities
from search.study import SweepStudy
from search.study_file import StudyFile, external
from search.sweep_folder import SweepFolder, add_options, database_mistakes, sweeps
from spaces.space import Value, nearest
from trainables.errors import BadRequestError, StorageError
from trainables.home import Home


def parser(command: str, meaning: str | None) -> argparse.ArgumentParser:
    """A command line of sweeps in a home."""
    root = argparse.ArgumentParser(prog=f"python -m {command}", description=meaning)
    root.add_argument("sweeps", nargs="*", metavar="SWEEP", help="all of the home without one")
    add_options(root)
    return root


def reopened(home: Home, sweep: str, database: str | None) -> tuple[Plan, SweepStudy]:
    """The plan and a copy of the study of a sweep.

    Raises:
        UserError: One of them is missing or cannot be read.
    """
    folder = SweepFolder.of(home, sweep)
    plan = _plan(folder, database)
    storage = external(database) if database else _own(folder, home, plan)
    try:
        loaded = optuna.load_study(study_name=sweep, storage=storage)
    except KeyError as error:
        raise StorageError([f"no study {sweep!r} in its database"]) from error
    refuse_another(loaded, plan, folder)
    if database:
        loaded = _in_memory(sweep, storage)
    unknown = {name: _not_asked for name in plan.objectives if name not in plan.learned}
    clocks = Clocks(loaded, plan, folder)
    study = study_of(loaded, plan, Quantities(known=unknown), clocks.all)
    return plan, study


def _not_asked(params: dict[str, Value]) -> float:  # noqa: ARG001
    """An objective of which the study of a sweep that is only looked at has the values."""
    return math.nan


def _plan(folder: SweepFolder, database: str | None) -> Plan:
    if not folder.plan.exists():
        return planned(folder, database)
    try:
        return Plan.load(folder.plan)
    except (ValueError, TypeError) as error:
        raise StorageError([f"{folder.plan} cannot be read: {error}"]) from error


def _own(folder: SweepFolder, home: Home, plan: Plan) -> Any:
    """A copy of the sweep's own study; it is not mended here, for nothing is changed."""
    file = StudyFile(folder)
    if damage := file.damage():
        words = f"python -m search.run {plan.variant} --name {plan.sweep} --home {home} --resume"
        raise StorageError([f"the study {file.path} is damaged ({damage}); {words} heals it"])
    if not file.path.exists():
        raise StorageError(
            [f"the study {file.path} is missing; if it is elsewhere: --database URL"]
        )
    return file.snapshot()


def _in_memory(sweep: str, stored: Any) -> optuna.Study:
    """A copy, since a study that is opened ends what was cut off."""
    storage = optuna.storages.InMemoryStorage()
    optuna.copy_study(from_study_name=sweep, from_storage=stored, to_storage=storage)
    return optuna.load_study(study_name=sweep, storage=storage)


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

    Raises:
        BadRequestError: A sweep is unknown, or its plan is lost.
        SweepLockedError: A driver works on one.
        StorageError: A study cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if wrong := database_mistakes(given.database) or mistakes(given):
        raise BadRequestError(wrong)
    from mlflow.exceptions import MlflowException

    codes: list[int] = []
    try:
        for sweep in given.sweeps or sweeps(given.home):
            with lock.held(SweepFolder.of(given.home, sweep)):
                codes.append(act(*reopened(given.home, sweep, given.database)))
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise StorageError([f"the study cannot be read: {storage.reason(error)}"]) from error
    except MlflowException as error:
        raise StorageError([explained(error, address(given.home))]) from error
    return max(codes)
