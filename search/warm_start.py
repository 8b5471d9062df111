"""What earlier sweeps found best, to be tried first."""

from search.plan import Plan
from search.ranking import leaders
from search.reading import reopened
from search.record import State
from spaces.space import Value, nearest
from trainables.home import Home

BEST = 5  # configurations of each earlier sweep


def mistakes(names: list[str], known: list[str]) -> list[str]:
    """Which of the named sweeps a home does not have."""
    there = ", ".join(known) or "none"
    return [
        f"--warm-start: no sweep {name!r}{nearest(name, known)} (there: {there})"
        for name in names
        if name not in known
    ]


def found_best(plan: Plan, home: Home, database: str | None) -> dict[str, dict[str, Value]]:
    """The best complete trials of the sweeps that `plan` begins from, by their source.

    Of each what lies in the plan's space; what they say nothing of is drawn when they are tried.
    They may be of another variant, or other data.

    Raises:
        UserError: a sweep cannot be read.
    """
    space, found = plan.searched, dict[str, dict[str, Value]]()
    for name in plan.warm_start:
        earlier, study = reopened(home, name, database)
        complete = [r for r in study.accepted if r.state == State.COMPLETE and not r.repeat_of]
        for record in leaders(complete, earlier.directions, earlier.learned)[:BEST]:
            params = {
                name: value
                for name, value in record.params.items()
                if name in space.params and space.params[name].contains(value)
            }
            if params:
                found[f"{name}/{record.key}"] = params
    return found
