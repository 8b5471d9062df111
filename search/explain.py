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
from search.plan import OBJECTIVE, Plan
from search.record import Record
from search.study import SweepStudy
from search.sweep_folder import add_options
from search.terminal import parameters, percent
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


def best_at(study: SweepStudy, number: int) -> tuple[Record, float] | None:
    """The trial with the best value, and the value, that was known at a decision."""
    noted = [d for record in study.accepted for d in record.decisions if d["number"] <= number]
    known: dict[int, int] = {}
    for decision in sorted(noted, key=lambda decision: decision["number"]):
        known |= {trial: epoch for trial, epoch, _ in decision["news"]}
    (way,) = OBJECTIVE.values()
    better = max if way == "max" else min
    reached = [
        (better(values[0] for epoch, values in record.curve.items() if epoch <= last), record)
        for record in study.accepted
        if (last := known.get(record.number, 0)) and min(record.curve, default=last + 1) <= last
    ]
    if not reached:
        return None
    value, record = better(reached, key=lambda pair: pair[0])
    return record, value


def _decision(study: SweepStudy, decision: dict[str, Any]) -> Iterator[str]:
    why = decision["why"]
    source = f" ({why['published']})" if "published" in why else ""
    yield f"because: {why['because']}{source}"
    if "expected" in why:
        (way,) = OBJECTIVE.values()
        expected = why["expected"][0] * (-1 if way == "max" else 1)
        deviation, compared = why["deviation"][0], why.get("compared", 1)
        yield f"expected in the end: {percent(expected)}, give or take {percent(deviation)}"
        yield f"compared: {compared}"
    if refused := why.get("refused"):
        yield f"refused before it: {len(refused)}, known already or against rules or limits"
    if best := best_at(study, decision["number"]):
        yield f"the best then: {percent(best[1])} ({best[0].key})"


def explained(study: SweepStudy, record: Record, plan: Plan) -> Iterator[str]:
    """What is noted of a trial, line by line."""
    yield f"{record.key}: {parameters(record, plan)}"
    if not record.decisions:
        yield "  nothing is noted of its suggestion: it is of an earlier version, or was adopted"
    for decision in record.decisions:
        epoch = decision.get("epoch")
        did = "suggested" if epoch is None else f"paused after epoch {epoch}, went on"
        yield f"  {did} by decision {decision['number']}"
        yield from (f"    {line}" for line in _decision(study, decision))
    reason = f": {record.reason}" if record.reason else ""
    yield f"  {record.state} at epoch {record.epoch}, {percent(record.value)}{reason}"


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
