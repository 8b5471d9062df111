"""The plan of a sweep: everything that is fixed before its first trial, and how it is checked."""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import spaces
from reports.pareto import Direction
from search import objectives
from search.published_space import rows_only
from search.samplers import DEFAULT, PUBLISHED
from search.settings import alike, searched
from spaces.document import changes
from spaces.space import Space, Value
from trainables import fields, records
from trainables.home import RESERVED

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_MAY_CHANGE = (
    *("trials", "total_epochs", "hours", "gpu_hours", "target", "until_settled", "repeats"),
    *("sampler", "pruner", "published", "warm_start"),
    "data",  # a place; `data_sha256` says what is there
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How much is spent: `trials` trials of at most `epochs` epochs at `image_size` px.

    `limits` are those of metrics that are known before training.
    """

    trials: int | None
    epochs: int
    image_size: int
    limits: Mapping[str, float] = field(default_factory=dict[str, float])
    objectives: tuple[str, ...] = objectives.DEFAULT
    total_epochs: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None
    target: float | None = None
    until_settled: bool = False
    repeats: int = 1
    sampler: str = DEFAULT
    pruner: str | None = None


QUICK = Budget(trials=10, epochs=6, image_size=56, limits={"gflops": 0.08})
FULL = Budget(trials=100, epochs=200, image_size=224)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A sweep: `variant` on the data set at `data`, within a budget.

    `settings` hold parameters constant, `domains` are searched in place of the variant's, and
    `own_space` in place of its whole space, both as documents; `published` is how many published
    points are tried first.
    `objectives` are metrics, those that training shows before the others; `limits` are those of
    metrics that are known before training. The sweep ends when `trials` configurations have ended,
    `total_epochs` of all trials are trained, the `hours` or `gpu_hours` are over, the first
    objective has reached the `target`, or (`until_settled`) little more is to be expected; None is
    no limit. Then the best are trained once more until there are `repeats` of them. What the sweeps
    named in `warm_start` found best is tried first, and their curves are known to the search.
    """

    sweep: str
    variant: str
    data: str
    data_name: str
    data_sha256: str
    num_classes: int
    image_size: int
    epochs: int
    trials: int | None
    patience: int
    seed: int
    published: int
    settings: Mapping[str, Value] = field(default_factory=dict[str, Value])
    space: str = ""
    sampler: str = DEFAULT
    pruner: str | None = None
    total_epochs: int | None = None
    domains: Mapping[str, Any] = field(default_factory=dict[str, Any])
    own_space: Mapping[str, Any] = field(default_factory=dict[str, Any])
    objectives: tuple[str, ...] = objectives.DEFAULT
    limits: Mapping[str, float] = field(default_factory=dict[str, float])
    hours: float | None = None
    gpu_hours: float | None = None
    target: float | None = None
    until_settled: bool = False
    repeats: int = 1
    warm_start: tuple[str, ...] = ()

    @property
    def directions(self) -> dict[str, Direction]:
        """`min` or `max` for each objective."""
        return objectives.directions(self.objectives)

    @cached_property
    def learned(self) -> tuple[str, ...]:
        """The objectives that training shows."""
        return tuple(name for name in self.objectives if name in objectives.LEARNED)

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """The objectives and limits that are measured before training."""
        asked = dict.fromkeys((*self.objectives, *self.limits))
        return tuple(name for name in asked if name in objectives.MEASURED)

    @cached_property
    def searched(self) -> Space:
        """The space that is searched, with its constants."""
        space = searched(self.variant, self.settings, self.domains, self.own_space)
        return rows_only(space, self.settings) if self.sampler == PUBLISHED else space

    def flat(self, params: Mapping[str, Value], seed: int | None = None) -> dict[str, Any]:
        """The configuration of a trial with `params`, as `TrialConfig.from_flat` takes it.

        Its seed is the sweep's, unless it has one of its own.
        """
        task = {"model": self.searched.model, "data": self.data, "image_size": self.image_size}
        limits = {"epochs": self.epochs, "patience": self.patience}
        return {**task, **limits, "seed": self.seed if seed is None else seed, **params}

    def shown(self, params: Mapping[str, Value], seed: int | None = None) -> dict[str, str]:
        """The same as text for people, with the data set's name instead of its folder."""
        named = {**self.flat(params, seed), "data": self.data_name}
        return {name: str(value) for name, value in named.items()}

    def differences(self, other: "Plan") -> list[str]:
        """What `other` changes in this plan, except for what may change."""
        names = [f.name for f in dataclasses.fields(self) if f.name not in _MAY_CHANGE]
        own: list[str] = []
        if self.own_space and other.own_space:  # of two, what they do not share
            names.remove("own_space")
            own = [f"own_space.{change}" for change in changes(self.own_space, other.own_space)]
        return own + [
            f"{name}: was {getattr(self, name)!r}, now {getattr(other, name)!r}"
            for name in names
            if getattr(self, name) != getattr(other, name)
            and not (name == "space" and alike(self.space, other.space))
        ]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    def save(self, path: Path) -> None:
        records.replace(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Raises ValueError naming everything that is wrong with the document."""
        return cls.of(json.loads(path.read_text()))

    @classmethod
    def of(cls, document: Any) -> "Plan":
        """The plan that `to_json` wrote. Raises ValueError naming everything that is wrong."""
        if wrong := _document_mistakes(document):
            raise ValueError("; ".join(wrong))
        known = _modern(cast(dict[str, Any], document))
        named, warm = known.pop("objectives", objectives.DEFAULT), known.pop("warm_start", ())
        return cls(**known, objectives=tuple(named), warm_start=tuple(warm))


def _modern(document: dict[str, Any]) -> dict[str, Any]:
    """A plan's document as it is written today."""
    if "max_gflops" not in document:
        return dict(document)
    known = {name: value for name, value in document.items() if name != "max_gflops"}
    limit = document["max_gflops"]
    return known if limit is None else known | {"limits": {"gflops": limit}}


def _document_mistakes(document: Any) -> list[str]:
    """What a saved plan lacks, has too much or has of the wrong type."""
    if not isinstance(document, dict):
        return ["it holds no JSON object"]
    given = _modern(cast(dict[str, Any], document))
    settings, domains, own = (given.pop(name, {}) for name in ("settings", "domains", "own_space"))
    named, limits = given.pop("objectives", list(objectives.DEFAULT)), given.pop("limits", {})
    warm: Any = given.pop("warm_start", [])
    wrong = fields.mistakes([Plan], given, "a plan") + _wrong_goals(named, limits)
    if not isinstance(warm, (list, tuple)):
        wrong.append(f"warm_start must be a list of sweeps, given {warm!r}")
    if not isinstance(settings, dict):
        wrong.append(f"settings must be an object of values, given {settings!r}")
    else:
        kept = {
            name: value
            for name, value in cast(dict[str, Any], settings).items()
            if not isinstance(value, (str, int, float))
        }
        wrong += [f"settings: {name} must be a value, given {v!r}" for name, v in kept.items()]
    if not wrong and given["variant"] not in spaces.names():
        wrong.append(f"unknown variant {given['variant']!r}")
    if not wrong and (domains or own):
        try:
            searched(given["variant"], cast(dict[str, Any], settings), domains, own)
        except (ValueError, TypeError, AttributeError) as error:
            wrong.append(f"domains or own_space: {error}")
    return wrong


def _wrong_goals(named: Any, limits: Any) -> list[str]:
    """What is wrong with the objectives and limits of a saved plan."""
    wrong: list[str] = []
    if not isinstance(named, (list, tuple)) or not named:
        wrong.append(f"objectives must be a list of metrics, given {named!r}")
    else:
        wrong += objectives.mistakes([str(name) for name in cast(list[Any], named)])
    if not isinstance(limits, dict):
        return [*wrong, f"limits must be an object of numbers, given {limits!r}"]
    return wrong + [
        f"limits: {name} must be a number, given {limit!r}"
        for name, limit in cast(dict[str, Any], limits).items()
        if not isinstance(limit, (int, float)) or name not in objectives.LIMITS.values()
    ]


def name_mistakes(sweep: str) -> list[str]:
    if not _NAME.fullmatch(sweep):
        return [
            f"a sweep's name has 1 to 64 letters, digits, dots, dashes or underscores and begins "
            f"with none of dot and dash, given {sweep!r}"
        ]
    if sweep in RESERVED:
        return [f"a sweep cannot be called {sweep!r}: the home folder uses that name"]
    return []
