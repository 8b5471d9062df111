"""Sweeps from Python: `search.sweep` and `search.resume` are `search.run` as functions.

Their arguments become the words of its command line, so that both check, store and resume alike.
"""

import contextlib
import sys
import threading
import warnings
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.words import parsed, words
from spaces.space import Value
from trainables.errors import BadRequestError, Exit, ResourceError
from trainables.home import Home, default

if TYPE_CHECKING:
    from rich.console import Console

    from search.callbacks import OnEpoch, OnTrial
    from search.result import SweepResult

Place = str | PathLike[str]


def sweep(
    variant: str,
    *,
    data: Place | None = None,
    objectives: Sequence[str] | None = None,
    settings: Mapping[str, Value] | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    name: str | None = None,
    home: Place | None = None,
    on_epoch: "OnEpoch | None" = None,
    on_trial: "OnTrial | None" = None,
    progress: bool | None = None,
    **options: Any,
) -> "SweepResult":
    """Search the hyperparameters of a variant: `python -m search.run` as a function.

    Runs until the sweep has ended. A sweep of that name that was interrupted goes on, and a larger
    `trials` extends one that has ended. Call it in the main thread of the process; a script does so
    below `if __name__ == "__main__":`.

    Args:
        variant: what is searched, one of `spaces.names()`.
        data: a data set's name, or a folder of Parquet shards.
        objectives: metrics that are made better, `valid_top1` by default.
        settings: parameters that are held constant, by name, as `--set` takes them.
        trials: how many configurations are tried.
        epochs: of a trial that is not stopped early.
        image_size: height and width of images in pixels.
        name: the sweep's name, by default made of variant, data and image size.
        home: the folder of everything, by default `$SEARCH_HOME`, else `sweeps`.
        on_epoch: is called as `on_epoch(trial, epoch, metrics)` after each epoch.
        on_trial: is called as `on_trial(trial)` when a trial pauses or ends; `trial.state` says
            which. What either of them raises ends the sweep, which can be resumed, and is raised
            here.
        progress: whether progress is shown; by default in terminals and notebooks only.
        options: every other option of the command line, with `_` for `-`: `max_gflops=1.5` is
            `--max-gflops 1.5`, `full=True` is `--full`, `measure=False` is `--no-measure`, a list
            is several words, a mapping is words like `NAME=VALUE`, and None is left out.

    Returns:
        The trials, the best of them, a table and the models.

    Raises:
        BadRequestError: all that is wrong with the request, at once; nothing was started.
        UserError: the data, the machine or the disk are not as needed; see `trainables.errors`.
        KeyboardInterrupt: it was interrupted; `search.resume` goes on.
    """
    given = {"data": data, "objectives": objectives, "settings": settings, "trials": trials}
    given |= {"epochs": epochs, "image_size": image_size, "name": name, "home": home}
    return _swept([variant, *words(given | options)], progress, on_epoch, on_trial)


def resume(
    name: str,
    *,
    home: Place | None = None,
    on_epoch: "OnEpoch | None" = None,
    on_trial: "OnTrial | None" = None,
    progress: bool | None = None,
    **options: Any,
) -> "SweepResult":
    """Go on with a sweep that was interrupted: `python -m search.run VARIANT --resume`.

    One that has ended is only reported again. What is not given is as it was.

    Args:
        name: that of the sweep.
        home: the folder that it is in, by default `$SEARCH_HOME`, else `sweeps`.
        on_epoch: see `sweep`.
        on_trial: see `sweep`.
        progress: see `sweep`.
        options: see `sweep`; a larger `trials` extends the sweep.

    Raises:
        BadRequestError: there is no such sweep; else as `sweep`.
    """
    from search.earlier import earlier_plan

    place = default() if home is None else Home(Path(home))
    plan, wrong = earlier_plan(name, place, resume=True, database=options.get("database"))
    if plan is None:
        raise BadRequestError(wrong)
    given = {"name": name, "home": place.path, "resume": True} | options
    return _swept([plan.variant, *words(given)], progress, on_epoch, on_trial)


def _swept(
    given: list[str],
    progress: bool | None,
    on_epoch: "OnEpoch | None",
    on_trial: "OnTrial | None",
) -> "SweepResult":
    from search import result
    from search.callbacks import CallbackError, Callbacks
    from search.run import perform

    _refuse_this_process()
    request = parsed(given)
    calls = Callbacks(request.folder, on_epoch, on_trial)
    request = replace(request, listeners=(calls.changed,) if calls else ())
    with calls.heard(), _threads_kept():
        try:
            code = perform(request, _console(progress))
        except CallbackError as error:
            raise error.__cause__ or error from None
    if code == Exit.INTERRUPTED:
        raise KeyboardInterrupt
    if code == Exit.BAD_REQUEST:
        said = "no configuration was found that is new and keeps all limits"
        raise BadRequestError([f"{said}; loosen the limits or widen the space"])
    if code == Exit.STORAGE:
        said = f"MLflow lacks some of {request.sweep}; python -m search.verify --rebuild writes it"
        warnings.warn(said, stacklevel=3)
    return result.read(request.home, request.sweep, request.database)


def _refuse_this_process() -> None:
    """Refuse where a sweep cannot be driven.

    Raises:
        ResourceError: This is not the main thread, or Ray is in use.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ResourceError(["a sweep runs in the main thread: it answers to Ctrl-C and SIGTERM"])
    ray: Any = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        said = "this process is connected to a Ray already; a sweep starts or joins its own"
        raise ResourceError([f"{said}: call ray.shutdown() first"])


@contextlib.contextmanager
def _threads_kept() -> Generator[None]:
    """A driver makes PyTorch use one thread; afterwards the process has its own number again."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _console(progress: bool | None) -> "Console":
    """Where progress is shown; nothing is where nobody watches."""
    from rich.console import Console

    console = Console()
    shown = console.is_terminal or console.is_jupyter if progress is None else progress
    return console if shown else Console(quiet=True)
