"""Why was a trial suggested, and why did it pause, go on or stop?

    python -m search.explain SWEEP TRIAL

TRIAL is a trial's key, the beginning of one, or its number. Exit codes: 0 explained, 2 unknown
sweep or trial, 3 a driver is at work on it, 6 storage.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from search import reading
from search.objectives import shown
from search.plan import Plan
from search.record import Record
from search.study import SweepStudy
from search.sweep_folder import add_options
from search.terminal import parameters
from spaces.space import nearest
from trainables.errors import BadRequestError, Exit, exit_code


def named(study: SweepStudy, name: str) -> Record:
    """The trial that is called so. Raises BadRequestError if there is none, or several."""
    known = {record.key: record for record in study.accepted}
    found = [record for key, record in known.items() if key.startswith(name)]
    if name.isdigit():
        found = [r for r in known.values() if r.number == int(name)] or found
    if len(found) != 1:
        several = f": {', '.join(r.key for r in found)}" if found else nearest(name, list(known))
        said = "several trials are" if found else "no trial is"
        raise BadRequestError([f"{said} called {name!r}{several}"])
    return found[0]


def best_at(study: SweepStudy, plan: Plan, number: int) -> tuple[Record, float] | None:
    """The trial with the best value of the first objective, and the value, known at a decision."""
    noted = [d for record in study.accepted for d in record.decisions if d["number"] <= number]
    known: dict[int, int] = {}
    for decision in sorted(noted, key=lambda decision: decision["number"]):
        known |= {trial: epoch for trial, epoch, _ in decision["news"]}
    better = max if plan.directions[plan.learned[0]] == "max" else min
    reached = [
        (better(values[0] for epoch, values in record.curve.items() if epoch <= last), record)
        for record in study.accepted
        if (last := known.get(record.number, 0)) and min(record.curve, default=last + 1) <= last
    ]
    if not reached:
        return None
    value, record = better(reached, key=lambda pair: pair[0])
    return record, value


def _decision(study: SweepStudy, plan: Plan, decision: dict[str, Any]) -> Iterator[str]:
    why, first = decision["why"], plan.learned[0]
    source = f" ({why['published']})" if "published" in why else ""
    yield f"because: {why['because']}{source}"
    if "expected" in why:
        for name, value, deviation in zip(
            plan.learned, why["expected"], why["deviation"], strict=True
        ):
            expected = shown(name, -value if plan.directions[name] == "max" else value)
            of = "" if len(plan.objectives) == 1 else f" of {name}"
            yield f"expected in the end{of}: {expected}, give or take {shown(name, deviation)}"
        yield f"compared: {why.get('compared', 1)}"
    if refused := why.get("refused"):
        yield f"refused before it: {len(refused)}, known already or against rules or limits"
    if best := best_at(study, plan, decision["number"]):
        yield f"the best then: {shown(first, best[1])} ({best[0].key})"


def explained(study: SweepStudy, record: Record, plan: Plan) -> Iterator[str]:
    """What is noted of a trial, line by line."""
    yield f"{record.key}: {parameters(record, plan)}"
    if not record.decisions:
        yield "  nothing is noted of its suggestion: it is of an earlier version, or was adopted"
    for decision in record.decisions:
        epoch = decision.get("epoch")
        did = "suggested" if epoch is None else f"paused after epoch {epoch}, went on"
        yield f"  {did} by decision {decision['number']}"
        yield from (f"    {line}" for line in _decision(study, plan, decision))
    reason = f": {record.reason}" if record.reason else ""
    for name, value in record.known.items():
        yield f"  {name}: {shown(name, value)}"
    value = shown(plan.learned[0], record.value)
    yield f"  {record.state} at epoch {record.epoch}, {value}{reason}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Explain a trial of a sweep; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m search.explain", description=main.__doc__)
    parser.add_argument("sweeps", nargs=1, metavar="SWEEP")
    parser.add_argument(
        "trial", metavar="TRIAL", help="its key, the beginning of it, or its number"
    )
    add_options(parser)
    given = parser.parse_args(arguments)

    def explain(plan: Plan, study: SweepStudy) -> int:
        record = named(study, given.trial)
        sys.stdout.write("".join(f"{line}\n" for line in explained(study, record, plan)))
        return Exit.DONE

    return exit_code(lambda: reading.each(given, explain))


if __name__ == "__main__":
    sys.exit(main())
