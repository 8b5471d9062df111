"""The command line of `search.run`: read, filled up with a budget, and checked all at once."""

import argparse
import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import spaces
from reports.mlflow_contract import address_mistakes
from search import objectives
from search.choosing import choose
from search.cluster import Resources, address_of
from search.earlier import earlier_plan, unknown_sweeps
from search.numbers import read
from search.objectives import LIMITS
from search.options import ONLY, parser
from search.plan import FULL, QUICK, Budget, Plan, name_mistakes
from search.record import Record
from search.samplers import DEFAULT, PUBLISHED
from search.settings import Chosen, described, fitting_size, setting_mistakes
from search.sweep_folder import SweepFolder, database_mistakes
from spaces import first_stage
from spaces.space import Value, nearest
from trainables import fields
from trainables.data import DataError, Dataset, UnknownDatasetError, check
from trainables.errors import BadRequestError
from trainables.home import Home

DEFAULT_DATA = "digits"
_MANY = 100  # trials, where their number is not limited
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
    objectives: tuple[str, ...] | None
    limits: dict[str, float]
    patience: int | None
    seed: int | None
    published: int | None
    total_epochs: int | None
    hours: float | None
    gpu_hours: float | None
    target: float | None
    repeats: int | None
    until_settled: bool
    warm_start: tuple[str, ...] | None
    sampler: str | None
    pruner: str | None
    resources: Resources
    settings: dict[str, Value]
    domains: dict[str, Any]
    own_space: dict[str, Any]
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
        trials = self._trials(base)
        limits = dict[str, float]() if self.sampler == PUBLISHED else base.limits
        plan = Plan(
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
            objectives=_either(self.objectives, base.objectives),
            limits={**limits, **self.limits},
            published=_either(self.published, max(1, (trials or _MANY) // 4)),
            settings=self.settings,
            domains=self.domains,
            own_space=self.own_space,
            total_epochs=_either(self.total_epochs, base.total_epochs),
            hours=_either(self.hours, base.hours),
            gpu_hours=_either(self.gpu_hours, base.gpu_hours),
            target=_either(self.target, base.target),
            repeats=_either(self.repeats, base.repeats),
            until_settled=self.until_settled or base.until_settled,
            warm_start=_either(self.warm_start, self.earlier.warm_start if self.earlier else ()),
            sampler=_either(self.sampler, base.sampler),
            pruner=_either(self.pruner, base.pruner),
        )
        return dataclasses.replace(plan, space=described(plan.searched))

    def _trials(self, base: Plan | Budget) -> int | None:
        """As many as are asked for; without a word, no limit if there is another budget."""
        other = (self.total_epochs, self.hours, self.gpu_hours)
        begun = self.earlier is not None
        if self.trials is None and not begun and any(n is not None for n in other):
            return None
        if self.trials is None and not begun and self.sampler == PUBLISHED:
            return None
        return _either(self.trials, base.trials)


def _either(given: T | None, otherwise: T) -> T:
    return otherwise if given is None else given


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


def _variant_mistakes(variant: str, chosen: Chosen, size: int) -> list[str]:
    known = spaces.names()
    if variant in known:
        return setting_mistakes(variant, chosen.settings, size, chosen)
    hint = nearest(variant.lower(), known)
    return [f"unknown variant {variant!r}{hint} (variants: {', '.join(known)})"]


def _replayed(given: argparse.Namespace) -> list[str]:
    """Take `--published only` for the sampler that it names; what is wrong with that."""
    if given.published != ONLY:
        return []
    wrong = [
        f"--published only tries published rows alone; --{name} {value} has no place there"
        for name in ("sampler", "pruner")
        if (value := getattr(given, name)) not in (None, PUBLISHED)
    ]
    given.sampler, given.published = PUBLISHED, None
    return wrong


def _sampler_mistakes(given: argparse.Namespace, base: Plan | Budget, count: int) -> list[str]:
    """What is wrong with the sampler and the pruner that are named, for `count` objectives."""
    sampler = given.sampler or base.sampler
    if (sampler, given.pruner or base.pruner) == (DEFAULT, None):
        return []  # what checks others takes a second to import
    from search.samplers.loading import mistakes

    wrong = mistakes(sampler, given.pruner or base.pruner, count)
    if given.until_settled and sampler != DEFAULT:
        said = f"--until-settled asks the sampler {DEFAULT} what is to be expected"
        wrong.append(f"{said}; {sampler} does not say")
    return wrong


def parse(arguments: Sequence[str] | None = None) -> Request:
    """The request of a command line.

    Raises:
        BadRequestError: With all mistakes, those of the data among them.
        DataError: With all that is wrong with the data, if nothing else is wrong.
    """
    given = parser().parse_args(arguments)
    refused = _replayed(given)
    numbers, wrong = read(given)
    wrong += refused
    budget = _budget(given)
    sweep = _sweep_name(given, numbers["image_size"] or budget.image_size)
    hint = "" if given.name else ", made of variant, data and size; choose one with --name"
    misnamed = [mistake + hint for mistake in name_mistakes(sweep)]
    earlier, trouble = (
        (None, []) if misnamed else earlier_plan(sweep, given.home, given.resume, given.database)
    )
    data = _data(given, earlier)
    chosen, unread = choose(
        given.variant, given.settings, given.space, earlier if given.resume else None
    )
    bad_data: list[str] = []
    for name in dict.fromkeys((data, str(chosen.settings.get(first_stage.DATA, data)))):
        try:
            check(name, given.home.data)
        except UnknownDatasetError as error:
            wrong += error.mistakes
        except DataError as error:
            bad_data += error.mistakes
    size = numbers["image_size"] or (earlier or budget).image_size
    wrong += database_mistakes(given.database) + address_mistakes() + unread
    named = given.objective or (earlier or budget).objectives
    wrong += objectives.mistakes(named) or _sampler_mistakes(given, earlier or budget, len(named))
    wrong += _variant_mistakes(given.variant, chosen, size) + misnamed + trouble
    if not (earlier and earlier.warm_start == tuple(given.warm_start)):  # else they are noted
        wrong += unknown_sweeps(given.warm_start, given.home)
    if wrong:
        raise BadRequestError(wrong + bad_data)
    if bad_data:
        raise DataError(bad_data)
    of_cluster = fields.names(Resources)
    limits = {m: limit for o, m in LIMITS.items() if (limit := numbers.pop(o)) is not None}
    return Request(
        variant=given.variant,
        sweep=sweep,
        home=given.home,
        data=data,
        budget=budget,
        **{name: number for name, number in numbers.items() if name not in of_cluster},
        **{"sampler": given.sampler, "pruner": given.pruner},
        objectives=objectives.ordered(given.objective) if given.objective else None,
        limits=limits,
        until_settled=given.until_settled,
        warm_start=tuple(given.warm_start) if given.warm_start else None,
        resources=Resources(**{name: numbers[name] for name in of_cluster}),
        **dataclasses.asdict(chosen),
        earlier=earlier,
        address=given.address,
        database=given.database,
        measure=not given.no_measure,
        keep_weights=given.keep_weights,
        dry_run=given.dry_run,
    )
