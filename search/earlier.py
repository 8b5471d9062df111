"""Sweeps that exist, for a command that goes on with one or begins from some."""

from collections.abc import Sequence

from search.plan import Plan
from search.sweep_folder import SweepFolder, database_mistakes, sweeps
from spaces.space import nearest
from trainables.errors import BadRequestError
from trainables.home import Home


def earlier_plan(
    sweep: str, home: Home, resume: bool, database: str | None
) -> tuple[Plan | None, list[str]]:
    """The plan of the sweep in its file, or in its study if `resume` asks for a sweep that is.

    Returns:
        The plan, None without one; and what is wrong with it, or with asking for it.

    Raises:
        StorageError: The plan is lost, and the `database` of its study cannot be used.
    """
    folder = SweepFolder.of(home, sweep)
    try:
        if folder.plan.exists():
            return Plan.load(folder.plan), []
        if resume and folder.begun and not database_mistakes(database):
            from search.identity import planned  # takes a second, which others need not wait for

            return planned(folder, database), []
    except BadRequestError as error:
        return None, error.mistakes
    except (ValueError, TypeError) as error:
        return None, [f"{folder.plan} cannot be read: {error}"]
    if not resume:
        return None, []
    known = sweeps(home)
    found = f"sweeps there: {', '.join(known)}" if known else "there is none yet"
    return None, [f"--resume: no sweep {sweep!r} in {home}{nearest(sweep, known)} ({found})"]


def unknown_sweeps(names: Sequence[str], home: Home) -> list[str]:
    """Which of the sweeps to begin from a home does not have."""
    known = sweeps(home)
    there = ", ".join(known) or "none"
    return [
        f"--warm-start: no sweep {name!r}{nearest(name, known)} (there: {there})"
        for name in names
        if name not in known
    ]
