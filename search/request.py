"""The command line of `search.run`: read, filled up with a budget, and checked all at once."""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import spaces
from reports.mlflow_contract import address_mistakes
from search.cluster import Resources, address_of
from search.earlier import earlier_plan
from search.listing import Show
from search.numbers import NUMBERS, read
from search.plan import FULL, QUICK, Budget, Plan, name_mistakes
from search.record import Record
from search.samplers import DEFAULT
from search.samplers.loading import mistakes
from search.settings import described, fitting_size, searched, setting_mistakes
from search.sweep_folder import SweepFolder, add_options, database_mistakes
from spaces import first_stage
from spaces.space import Value, nearest
from trainables import fields
from trainables.data import DataError, Dataset, UnknownDatasetError, check
from trainables.errors import BadRequestError
from trainables.home import Home

DEFAULT_DATA = "digits"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the command line asks for; a number is None where it does not say."""

    variant: str
    sweep: str
    home: Home
    data: str
    budget: Budget
    trials: int | None
    epochs: int | None
    image_size: int | None
    max_gflops: float | None
    patience: int | None
    seed: int | None
    published: int | None
    total_epochs: int | None
    sampler: str | None
    pruner: str | None
    resources: Resources
    settings: dict[str, Value]
    earlier: Plan | None
    address: str | None
    database: str | None
    measure: bool
    disk_limit: float | None
    keep_weights: bool
    dry_run: bool
    listeners: tuple[Callable[[Record], None], ...] = ()  # told of what becomes of trials

    @property
    def folder(self) -> SweepFolder:
        return SweepFolder.of(self.home, self.sweep)

    def plan(self, dataset: Dataset) -> Plan:
        """The sweep that is asked for: given numbers, else an earlier plan's, else the budget's."""
        base = self.earlier or self.budget
        patience, seed = (self.earlier.patience, self.earlier.seed) if self.earlier else (10, 0)
        trials = _either(self.trials, base.trials)
        return Plan(
            sweep=self.sweep,
            variant=self.variant,
            data=str(dataset.path.resolve()),
            data_name=dataset.name,
            data_sha256=dataset.fingerprint,
            num_classes=dataset.num_classes,
            image_size=_either(self.image_size, base.image_size),
            epochs=_either(self.epochs, base.epochs),
            trials=trials,
            patience=_either(self.patience, patience),
            seed=_either(self.seed, seed),
            max_gflops=_either(self.max_gflops, base.max_gflops),
            published=_either(self.published, max(1, trials // 4)),
            settings=self.settings,
            space=described(searched(self.variant, self.settings)),
            total_epochs=_either(self.total_epochs, base.total_epochs),
            sampler=_either(self.sampler, base.sampler),
            pruner=_either(self.pruner, base.pruner),
        )


def _either(given: T | None, otherwise: T) -> T:
    return otherwise if given is None else given


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="python -m search.run",
        description="Search the hyperparameters of an efficient vision transformer.",
        epilog="Exit codes: 0 done, 1 some trials failed, 2 bad request, 3 locked by another "
        "driver, 4 data, 5 resources, 6 storage, 130 interrupted.",
    )
    root.add_argument("variant", help="what is searched, one of those that --list shows")
    root.add_argument("--list", action=Show, nargs=0, help="every variant, with its published rows")
    root.add_argument("--data", help="a data set's name, or a folder of Parquet shards (digits)")
    root.add_argument("--name", help="the sweep's name (made of variant, data and image size)")
    add_options(root)
    root.add_argument("--resume", action="store_true", help="continue an existing sweep")
    root.add_argument("--full", action="store_true", help="the full budget, also without a GPU")
    root.add_argument("--set", nargs="+", default=[], dest="settings", metavar="NAME=VALUE")
    root.add_argument("--address", help="a Ray cluster to join (RAY_ADDRESS, or this head)")
    root.add_argument("--no-measure", action="store_true", help="leave out measuring afterwards")
    root.add_argument("--keep-weights", action="store_true", help="also those of stopped trials")
    root.add_argument("--dry-run", action="store_true", help="tell what would be done, do nothing")
    for name, meaning in (("sampler", DEFAULT), ("pruner", "the sampler's own")):
        root.add_argument(f"--{name}", metavar="NAME", help=f"see docs/search.md ({meaning})")
    for name, (_, _, meaning) in NUMBERS.items():
        root.add_argument(f"--{name.replace('_', '-')}", metavar="N", help=meaning)
    return root


def _budget(given: argparse.Namespace) -> Budget:
    """Quick without a GPU, cluster or wish for the full one; at an image size the variant has."""
    has_gpu = Path("/dev/nvidiactl").exists()
    budget = FULL if given.full or has_gpu or address_of(given.address) else QUICK
    if given.variant not in spaces.names():
        return budget
    return replace(budget, image_size=fitting_size(given.variant, budget.image_size))


def _sweep_name(given: argparse.Namespace, size: int) -> str:
    of_data = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(given.data or DEFAULT_DATA).resolve().name)
    return given.name or f"{given.variant}-{of_data}-{size}px"


def _data(given: argparse.Namespace, earlier: Plan | None) -> str:
    if given.data or earlier is None:
        return given.data or DEFAULT_DATA
    return DEFAULT_DATA if earlier.data_name == DEFAULT_DATA else earlier.data


def _settings(
    given: argparse.Namespace, earlier: Plan | None
) -> tuple[dict[str, Value], list[str]]:
    kept = dict(earlier.settings) if earlier and given.resume else {}
    try:
        return fields.assignments(given.settings) or kept, []
    except ValueError as error:
        return {}, [f"--set: {error}"]


def _variant_mistakes(variant: str, settings: dict[str, Value], size: int) -> list[str]:
    known = spaces.names()
    if variant in known:
        return setting_mistakes(variant, settings, size)
    hint = nearest(variant.lower(), known)
    return [f"unknown variant {variant!r}{hint} (variants: {', '.join(known)})"]


def parse(arguments: Sequence[str] | None = None) -> Request:
    """The request of a command line.

    Raises:
        BadRequestError: With all mistakes, those of the data among them.
        DataError: With all that is wrong with the data, if nothing else is wrong.
    """
    given = parser().parse_args(arguments)
    numbers, wrong = read(given)
    budget = _budget(given)
    sweep = _sweep_name(given, numbers["image_size"] or budget.image_size)
    hint = "" if given.name else ", made of variant, data and size; choose one with --name"
    misnamed = [mistake + hint for mistake in name_mistakes(sweep)]
    earlier, trouble = (
        (None, []) if misnamed else earlier_plan(sweep, given.home, given.resume, given.database)
    )
    data = _data(given, earlier)
    settings, unread = _settings(given, earlier)
    bad_data: list[str] = []
    for name in dict.fromkeys((data, str(settings.get(first_stage.DATA, data)))):
        try:
            check(name, given.home.data)
        except UnknownDatasetError as error:
            wrong += error.mistakes
        except DataError as error:
            bad_data += error.mistakes
    size = numbers["image_size"] or (earlier or budget).image_size
    wrong += database_mistakes(given.database) + address_mistakes() + unread
    wrong += mistakes(given.sampler or DEFAULT, given.pruner)
    wrong += _variant_mistakes(given.variant, settings, size) + misnamed + trouble
    if wrong:
        raise BadRequestError(wrong + bad_data)
    if bad_data:
        raise DataError(bad_data)
    of_cluster = fields.names(Resources)
    return Request(
        variant=given.variant,
        sweep=sweep,
        home=given.home,
        data=data,
        budget=budget,
        **{name: number for name, number in numbers.items() if name not in of_cluster},
        **{"sampler": given.sampler, "pruner": given.pruner},
        resources=Resources(**{name: numbers[name] for name in of_cluster}),
        settings=settings,
        earlier=earlier,
        address=given.address,
        database=given.database,
        measure=not given.no_measure,
        keep_weights=given.keep_weights,
        dry_run=given.dry_run,
    )
