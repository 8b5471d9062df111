"""How far are the sweeps, and what do they take?

    python -m search.status [SWEEP ...]

Looks only: nothing is changed, and a sweep may go on meanwhile. Exit codes: 0 told, 2 unknown
sweep, 6 storage.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import optuna
from sqlalchemy.exc import SQLAlchemyError

from search import lock, objectives, reading, storage
from search.disk import bytes_in
from search.plan import Plan
from search.ranking import best_first
from search.record import Record, State
from search.study import SweepStudy
from search.sweep_folder import SweepFolder, database_mistakes, sweeps
from search.terminal import duration, parameters
from search.units import quantity
from trainables import trial_log
from trainables.errors import BadRequestError, Exit, StorageError, UserError, complain, exit_code
from trainables.home import Home
from trainables.training_time import epoch_seconds

_KINDS: tuple[str, ...] = ("commits", "best weights", "first stages", "study and logs", "report")


def used(home: Home, sweep: str) -> dict[str, int]:
    """What a sweep takes on disk, in bytes by kind; its data set is not its own, and not here."""
    folder = SweepFolder.of(home, sweep)
    found = dict.fromkeys(_KINDS, 0)
    for key in folder.trial_keys():
        files = folder.trial(key)
        found["commits"] += bytes_in(files.checkpoints)
        found["best weights"] += bytes_in(files.best.parent)
    found["first stages"] = bytes_in(folder.stages)
    found["study and logs"] = bytes_in(folder.path) - sum(found.values())
    found["report"] = bytes_in(home.reports / sweep)
    return found


def _driver(folder: SweepFolder) -> str:
    found = lock.owner(folder)
    if found is None:
        return "none is at work"
    since = ""
    with suppress(KeyError, ValueError):
        began = datetime.fromisoformat(found["since"]).timestamp()
        since = f", for {duration(max(0.0, time.time() - began))}"
    return f"process {found.get('pid', '?')} on {found.get('host', '?')} is at work{since}"


def _trials(study: SweepStudy, plan: Plan, at_work: bool) -> str:
    counts = Counter(record.state for record in study.accepted)
    running = counts.pop(State.RUNNING, 0)
    told = [f"{running} {'running' if at_work else 'interrupted'}"] if running else []
    told += [f"{counts[state]} {state}" for state in State if counts[state]]
    of = "" if plan.trials is None else f" of {plan.trials}"
    return f"{len(study.accepted)}{of}" + (f": {', '.join(told)}" if told else "")


def _times(folder: SweepFolder, records: Sequence[Record]) -> tuple[float, float]:
    """Seconds of training and validation of all epochs, and when the last one ended (unix)."""
    seconds, last = 0.0, 0.0
    for record in records:
        for line in trial_log.read(folder.trial(record.key).metrics):
            seconds, last = seconds + epoch_seconds(line.metrics), max(last, line.ended_unix_s)
    return seconds, last


def _best(study: SweepStudy, plan: Plan) -> str:
    ranked = best_first(study.accepted, plan.directions, plan.learned)
    if not ranked:
        return "no epoch has ended yet"
    value = objectives.shown(plan.learned[0], ranked[0].value)
    return f"{value}, {ranked[0].state} {ranked[0].key}: {parameters(ranked[0], plan)}"


def told(home: Home, sweep: str, plan: Plan, study: SweepStudy) -> Iterator[str]:
    """The state of a sweep, line by line."""
    folder, records = SweepFolder.of(home, sweep), study.accepted
    seconds, last = _times(folder, records)
    yield f"{sweep}: {plan.variant} on {plan.data_name} at {plan.image_size} px"
    yield f"  driver  {_driver(folder)}"
    yield f"  trials  {_trials(study, plan, lock.owner(folder) is not None)}"
    when = datetime.fromtimestamp(last).isoformat(" ", "minutes")
    yield f"  epochs  {sum(record.epoch for record in records)}" + f", the last at {when}" * bool(
        last
    )
    yield f"  best    {_best(study, plan)}"
    yield f"  time    {duration(seconds)} of training and validation, all lanes together"
    sizes = used(home, sweep)
    parts = ", ".join(f"{name} {_size(size)}" for name, size in sizes.items() if size)
    yield f"  disk    {_size(sum(sizes.values()))}" + (f": {parts}" if parts else "")
    if (data := Path(plan.data)).is_dir():
        yield f"  data    {_size(bytes_in(data))} of shards, {data}"


def _size(size_bytes: int) -> str:
    return quantity(size_bytes, "bytes")


def _one(home: Home, sweep: str, database: str | None) -> None:
    """Tell of a sweep. Raises UserError if it cannot be read."""
    try:
        plan, study = reading.reopened(home, sweep, database)
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise StorageError([f"{sweep} cannot be read: {storage.reason(error)}"]) from error
    sys.stdout.write("".join(f"{line}\n" for line in told(home, sweep, plan, study)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell how far sweeps are, and what they take on disk; returns the exit code."""
    given = reading.parser("search.status", main.__doc__).parse_args(arguments)

    def tell() -> int:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if wrong := database_mistakes(given.database) or reading.mistakes(given):
            raise BadRequestError(wrong)
        worst = Exit.DONE
        for sweep in given.sweeps or sweeps(given.home):
            try:
                _one(given.home, sweep, given.database)
            except UserError as error:  # the others can be told of
                worst = max(worst, complain(error.mistakes, error.exit))
        return worst

    return exit_code(tell)


if __name__ == "__main__":
    sys.exit(main())
