"""Run, continue or extend a sweep.

    python -m search.run linformer
    python -m search.run linformer --resume

Exit codes: 0 done, 1 some trials failed, 2 bad request, 3 the sweep is locked by another driver,
4 data, 5 resources, 6 storage, 130 interrupted.
"""

import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from search import budget, cluster, lock
from search.callbacks import CallbackError
from search.plan import Plan
from search.record import State
from search.request import Request, parse
from search.sweep_folder import SweepFolder
from search.terminal import chatter_to, duration, progress_bar
from spaces import first_stage
from trainables.addresses import redacted
from trainables.data import SPLITS, Dataset, check, locate, open_dataset, outlined
from trainables.errors import BadRequestError, Exit, StorageError, exit_code

# of a line that is printed as it is
_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "soft_wrap": True}


def _dataset(name: str, request: Request, console: Console) -> Dataset:
    with progress_bar(console, f"making {name}") as progress:
        return locate(name, request.home.data, progress)


def _with_first_data(request: Request, console: Console) -> Request:
    """`request` with the folder of a first stage's data in place of their name."""
    if first_stage.DATA not in request.settings:
        return request
    found = _dataset(str(request.settings[first_stage.DATA]), request, console)
    return replace(
        request, settings=request.settings | {first_stage.DATA: str(found.path.resolve())}
    )


def _decode(dataset: Dataset, image_size: int, console: Console) -> None:
    """Decode every image before any worker starts: what cannot be decoded is named once, here.

    Splits that find no room are decoded while models train, and that is said.
    """
    import torch

    from trainables.data.pixels import open_pixels

    cpu = torch.device("cpu")
    for split in SPLITS:
        with progress_bar(console, f"decoding {split}") as progress:
            pixels = open_pixels(dataset, split, image_size, cpu, progress=progress)
        if pixels.way == "streamed":
            console.print(f"note: {split} is streamed: {pixels.why}", highlight=False)


def _header(request: Request, plan: Plan, console: Console) -> None:
    lines = budget.header(plan)
    if request.budget.limits:
        lines.append("this is the quick budget of a machine without a GPU; the full one: --full")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _planned(request: Request, dataset: Dataset, console: Console) -> Plan:
    """The plan that is asked for. Raises BadRequestError if the sweep exists with another one."""
    plan = request.plan(dataset)
    earlier = request.earlier if dataset.shards else None  # data that is not made cannot differ
    if earlier and (changed := earlier.differences(plan)):
        hint = "give these as they were, or another --name for another sweep"
        raise BadRequestError(
            [f"sweep {plan.sweep!r} exists and differs: {c}" for c in changed] + [hint]
        )
    if request.budget.limits and not (request.earlier or "gflops" in request.limits):
        plan = _attainable(plan, console)
    return plan


def _rehearse(request: Request, console: Console) -> int:
    """Tell what `perform` would do and take; make nothing."""
    from search import dry_run

    if not cluster.address_of(request.address):
        cluster.precheck(request.resources)
    dataset = check(request.data, request.home.data) or outlined(request.data, request.home.data)
    plan = _planned(request, dataset, console)
    for line in dry_run.told(request, plan, dataset):
        console.print(line, **_PLAIN)
    return Exit.DONE


def _attainable(plan: Plan, console: Console) -> Plan:
    from search.limits import attainable

    raised = attainable(plan)
    if raised != plan:
        console.print(
            f"note: {plan.variant} has hardly a configuration within {plan.limits['gflops']:g} "
            f"GFLOPs at {plan.image_size} px; this sweep's limit is {raised.limits['gflops']:g}",
            highlight=False,
            soft_wrap=True,
        )
    return raised


def _search(request: Request, plan: Plan, console: Console) -> int:
    """Train, measure, report; the exit code."""
    from search import measuring
    from search.driver import Sweep

    sweep = Sweep(request, plan, console)
    address = cluster.address_of(request.address)
    way = measuring.here() if request.measure and not address else None
    if sweep.study.unfinished:
        with cluster.connected(address, lambda what: _lost(what, request, plan, console)):
            try:
                sweep.train()
            except CallbackError:
                sweep.settle()
                raise
            settled = sweep.settle()
            if request.measure and address and not sweep.study.unfinished:
                sweep.measure(measuring.on_cluster(cluster.has_gpus()))
    else:
        settled = sweep.settle()
    if sweep.study.unfinished:
        raise KeyboardInterrupt
    if said := sweep.study.ended:
        more = "" if plan.until_settled or plan.target else "; a larger budget extends it"
        sweep.say(f"the search has ended: {said}{more}")
    if way:
        sweep.measure(way)
    written = sweep.conclude(settled)
    if sweep.study.exhausted:
        sweep.say(sweep.study.gave_up)
    elif sweep.study.gave_up:
        sweep.say(f"error: {sweep.study.gave_up}")
        return Exit.BAD_REQUEST
    if not written:
        sweep.say("error: MLflow lacks some of this; the report was made without it")
        return Exit.STORAGE
    failed = any(record.state == State.FAILED for record in sweep.study.accepted)
    return Exit.FAILED if failed else Exit.DONE


def _lost(what: str, request: Request, plan: Plan, console: Console) -> None:
    """Tell that Ray is gone, from a thread that may end the process next."""
    console.show_cursor()  # the live view took it
    console.print(f"error: {what}; {_go_on(request, plan)}", **_PLAIN)


def _go_on(request: Request, plan: Plan) -> str:
    """How the sweep is resumed, as a command that can be pasted; credentials are left out."""
    if not SweepFolder.of(request.home, plan.sweep).begun:
        return "nothing was trained yet: the same command begins the sweep"
    words = f"python -m search.run {plan.variant} --name {plan.sweep} --home".split()
    words.append(str(request.home))
    for option, given in (("--address", request.address), ("--database", request.database)):
        words += [option, given] if given else []
    again = redacted(shlex.join([*words, "--resume"]))
    return f"nothing that was finished is lost. To go on: {again}"


def perform(request: Request, console: Console) -> int:
    """Run, continue or extend the sweep that is asked for; returns the exit code.

    Raises:
        UserError: It cannot be done, or not be gone on with.
    """
    if cluster.address_of(request.address):
        cluster.refuse_dead(request.address)
    else:
        cluster.precheck(request.resources)
    request.home.prepare()
    with lock.held(request.folder):
        if request.earlier and not request.folder.plan.exists():
            lost = f"note: {request.folder.plan} is missing; the plan is taken from the study"
            console.print(lost, **_PLAIN)
        dataset = _dataset(request.data, request, console)
        request = _with_first_data(request, console)
        plan = _planned(request, dataset, console)
        _header(request, plan, console)
        _decode(dataset, plan.image_size, console)
        if first_stage.DATA in request.settings or first_stage.SIZE in request.settings:
            first = request.settings.get(first_stage.DATA, plan.data)
            size = request.settings.get(first_stage.SIZE, plan.image_size)
            _decode(open_dataset(Path(str(first))), int(size), console)
        return _attended(request, plan, console)


def _attended(request: Request, plan: Plan, console: Console) -> int:
    """`_search`, whose interruptions and lost storage end with the command that goes on."""
    from search import storage

    try:
        with chatter_to(request.folder.log) as stream, storage.told():
            return _search(request, plan, Console(file=stream, quiet=console.quiet))
    except KeyboardInterrupt:
        console.print(f"interrupted; {_go_on(request, plan)}", **_PLAIN)
        return Exit.INTERRUPTED
    except StorageError as error:
        raise StorageError([*error.mistakes, _go_on(request, plan)]) from error


def _terminate(signum: int, frame: Any) -> None:  # noqa: ARG001
    """A polite kill ends like Ctrl-C: Tune stops its trials and the sweep can be resumed."""
    os.kill(os.getpid(), signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    signal.signal(signal.SIGTERM, _terminate)
    console = Console()
    start = time.monotonic()

    def run() -> int:
        request = parse(arguments)
        if request.dry_run:
            return _rehearse(request, console)
        code = perform(request, console)
        console.print(f"{duration(time.monotonic() - start)} in all", highlight=False)
        return code

    return exit_code(run, "interrupted; the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
