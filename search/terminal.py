"""What a person sees of a running sweep: one live view, or a plain line a finished trial.

Everything else that is written to the process's output (Ray's chatter) goes to a log file.
"""

import importlib.util
import math
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from search import objectives
from search.forecast import epochs
from search.plan import Plan
from search.ranking import best_first, leaders
from search.record import Record, State
from search.repeats import repeated
from trainables import addresses

if TYPE_CHECKING:
    from search.clock import Hours

_SHOWN = 5
_DRAIN_SECONDS = 5.0
_WITH_REASON = (State.FAILED, State.INFEASIBLE)
_NUMBER = re.compile(r"[-+]?\b\d[\d.,]*(?:e[-+]?\d+)?\b|\bnan\b|[-+]?\binf\b", re.IGNORECASE)


@contextmanager
def chatter_to(log: Path) -> Generator[TextIO]:
    """Send this process's output to `log`; yields a stream to where output went before.

    On its way a process of its own takes credentials out, which goes on when this one is killed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    redacting = [sys.executable, "-I", "-S", addresses.__file__]
    with log.open("a") as sink, os.fdopen(os.dup(1), "w", buffering=1) as stream:
        filter_ = subprocess.Popen(
            redacting, stdin=subprocess.PIPE, stdout=sink, stderr=sink, start_new_session=True
        )
        assert filter_.stdin is not None
        os.dup2(filter_.stdin.fileno(), 1)
        os.dup2(filter_.stdin.fileno(), 2)
        filter_.stdin.close()
        try:
            yield stream
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, source in zip((1, 2), saved, strict=True):
                os.dup2(source, target)
                os.close(source)
            with suppress(subprocess.TimeoutExpired):  # a process that outlives us may hold it
                filter_.wait(_DRAIN_SECONDS)


def _unseen(done: int, total: int) -> None:
    """Progress where there is no terminal to show it."""


@contextmanager
def progress_bar(console: Console, title: str) -> Generator[Callable[[int, int], None]]:
    """A progress bar as a function of (done, total)."""
    if not console.is_terminal:
        yield _unseen
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def parameters(record: Record, plan: Plan) -> str:
    """The searched parameters of a trial in one line."""
    names = (name for name in plan.searched.params if name in record.params)
    return " ".join(f"{name}={short(record.params[name])}" for name in names)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


class View:
    """Follows a study, as one of its listeners: `changed`. `clock` tells what hours are left."""

    def __init__(
        self, console: Console, plan: Plan, records: list[Record], clock: "Hours | None" = None
    ):
        self._console, self._plan, self._clock = console, plan, clock
        self._records = {r.key: r for r in records if r.accepted}
        self._start, self._epochs = time.monotonic(), 0
        self._seen = {record.key: record.epoch for record in records}
        self._noted: set[tuple[str, str]] = set()  # a record keeps its notes over several changes
        self._live: Live | None = None
        # a notebook can replace what it shows by this package
        widgets = console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None
        self._watched = console.is_terminal or widgets
        self._of = "" if plan.trials is None else f" of {plan.trials}"
        self._label = plan.learned[0].replace("valid_top1", "validation accuracy")

    def _value(self, record: Record) -> str:
        return objectives.shown(self._plan.learned[0], record.value)

    @contextmanager
    def shown(self) -> Generator[None]:
        if not self._watched:
            yield
            return
        with Live(self, console=self._console, refresh_per_second=2, transient=True) as self._live:
            yield

    def changed(self, record: Record) -> None:
        self._records[record.key] = record
        self._epochs += max(0, record.epoch - self._seen.get(record.key, 0))
        self._seen[record.key] = record.epoch
        for note in record.metrics.get("notes", []):
            if (record.key, note) not in self._noted:
                self._noted.add((record.key, note))
                self._console.print(f"note: {note}", highlight=False, markup=False)
        if self._watched and record.state in _WITH_REASON:
            said = f"{record.key} {record.state}: {record.reason}"
            self._console.print(said, highlight=False, markup=False)
        if not self._watched and record.state != State.RUNNING:
            text = f"{record.key} {record.state} after {record.epoch} epochs"
            text += f", {self._label} {self._value(record)}, " + self._progress()
            text += f" | reason: {record.reason}" if record.state in _WITH_REASON else ""
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def __rich__(self) -> Group:
        return Group(self._title(), self._best_line(), self._running(), Text(self._progress()))

    def _title(self) -> Text:
        plan = self._plan
        return Text(f"{plan.sweep}: {plan.variant} on {plan.data_name}", style="bold")

    def _best_line(self) -> Text:
        rated = [record for record in self._records.values() if record.value is not None]
        if not rated:
            return Text(
                "starting the workers" if not self._records else "the first epoch is running"
            )
        leader = best_first(rated, self._plan.directions, self._plan.learned)[0]
        return Text(f"best {self._value(leader)}: {parameters(leader, self._plan)}")

    def _running(self) -> Table:
        table = Table("trial", "epoch", "best", "parameters", box=None, padding=(0, 2, 0, 0))
        for record in self._records.values():
            if record.state == State.RUNNING:
                epoch = f"{record.epoch}/{self._plan.epochs}"
                values = parameters(record, self._plan)
                table.add_row(record.key, epoch, self._value(record), values)
        return table

    def _progress(self) -> str:
        states = Counter(record.state for record in self._records.values())
        ended = sum(count for state, count in states.items() if state.final)
        elapsed = time.monotonic() - self._start
        counts = (
            f"{ended}{self._of} trials: {states[State.COMPLETE]} done, "
            f"{states[State.RUNNING]} running, {states[State.PAUSED]} paused, "
            f"{states[State.STOPPED]} stopped early, "
            f"{states[State.FAILED] + states[State.INFEASIBLE]} failed"
        )
        rate = f"{self._epochs / elapsed:.2f} epochs/s" if self._epochs else "0 epochs/s"
        return f"{counts} | {rate} | {duration(elapsed)}{self._left(elapsed)}"

    def _left(self, elapsed: float) -> str:
        """Time left, if an epoch takes what it took so far and trials pause as is usual."""
        if not self._epochs:
            return ""
        trained = sum(record.epoch for record in self._records.values())
        forecast = epochs(self._plan)
        most = forecast.usual if forecast else math.inf
        seconds = max(0.0, most - trained) * elapsed / self._epochs
        seconds = min(seconds, self._clock.left_seconds if self._clock else math.inf)
        return "" if math.isinf(seconds) else f" | about {duration(seconds)} left"


def best(records: list[Record], plan: Plan) -> Table:
    """The best trials, with what they reached and cost; of several objectives the front."""
    several = len(plan.objectives) > 1
    plain = plan.objectives == objectives.DEFAULT
    first = [record for record in records if not record.repeat_of]
    chosen = leaders(first, plan.directions, plan.learned)
    chosen = chosen if several else chosen[:_SHOWN]
    names = ["valid"] if plain else list(plan.objectives)
    costs = [] if "gflops" in plan.objectives else ["GFLOPs"]
    title = f"the front: {len(chosen)} trials that none beats in everything" if several else None
    table = Table("trial", "state", *names, "test", *costs, "parameters", box=None, title=title)
    for record in chosen:
        gflops = record.metrics.get("gflops")
        values = (record.objective(name, plan.learned) for name in plan.objectives)
        table.add_row(
            record.key,
            record.state.value,
            *map(objectives.shown, plan.objectives, values),
            objectives.shown("test_top1", record.metrics.get("test_top1")),
            *(["-" if gflops is None else f"{gflops:.4f}"] if costs else []),
            parameters(record, plan),
        )
    return table


def repeats(records: list[Record], plan: Plan) -> Table | None:
    """What the best configurations reached with several seeds; None if none was repeated."""
    name = plan.learned[0]
    if not (found := repeated(records, plan.directions[name])):
        return None
    title = f"trained with several seeds: mean and standard deviation of {name}"
    table = Table("trial", "seeds", "mean", "deviation", "", box=None, title=title)
    for number, one in enumerate(found):
        tie = "best" if number == 0 else "tie with the best" if one.tie else ""
        mean, deviation = objectives.shown(name, one.mean), objectives.shown(name, one.deviation)
        table.add_row(one.original.key, str(len(one.values)), mean, f"± {deviation}", tie)
    return table


def reasons(records: list[Record]) -> list[str]:
    """Why trials failed, a line for each reason, the commonest first; numbers apart it is one."""
    failed = [r for r in records if r.accepted and r.state in _WITH_REASON]
    kinds = [(r.state, _NUMBER.sub("#", r.reason)) for r in failed]
    lines: list[str] = []
    for (state, kind), count in Counter(kinds).most_common():
        first = failed[kinds.index((state, kind))]
        why = first.reason or "it left no reason"
        such_as = "" if count == 1 else ", such as"
        lines.append(f"{count} {state}{such_as} {first.key}: {why}")
    return lines
