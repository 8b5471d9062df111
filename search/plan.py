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
from search.samplers import DEFAULT
from search.settings import searched
from spaces.space import Space, Value
from trainables import fields, records
from trainables.home import RESERVED

OBJECTIVE = {"valid_top1": "max"}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_MAY_CHANGE = (
    *("trials", "total_epochs", "sampler", "pruner", "published"),
    "data",  # a place; `data_sha256` says what is there
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How much is spent: `trials` trials of at most `epochs` epochs at `image_size` px.

    The sampler is told of `max_gflops` as a constraint; None sets no limit.
    """

    trials: int
    epochs: int
    image_size: int
    max_gflops: float | None = None
    total_epochs: int | None = None
    sampler: str = DEFAULT
    pruner: str | None = None


QUICK = Budget(trials=10, epochs=6, image_size=56, max_gflops=0.08)
FULL = Budget(trials=100, epochs=200, image_size=224)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A sweep: `variant` on the data set at `data`, within a budget.

    `settings` hold parameters constant; `published` is how many published points are tried first;
    `total_epochs` limits the epochs of all trials together.
    """

    sweep: str
    variant: str
    data: str
    data_name: str
    data_sha256: str
    num_classes: int
    image_size: int
    epochs: int
    trials: int
    patience: int
    seed: int
    max_gflops: float | None
    published: int
    settings: Mapping[str, Value] = field(default_factory=dict[str, Value])
    space: str = ""
    sampler: str = DEFAULT
    pruner: str | None = None
    total_epochs: int | None = None

    @property
    def directions(self) -> dict[str, str]:
        """`min` or `max` for each objective."""
        return dict(OBJECTIVE)

    @property
    def limits(self) -> dict[str, float]:
        """Of metrics that are known before training."""
        return {} if self.max_gflops is None else {"gflops": self.max_gflops}

    @cached_property
    def searched(self) -> Space:
        """The space that is searched, with its constants."""
        return searched(self.variant, self.settings)

    def flat(self, params: Mapping[str, Value]) -> dict[str, Any]:
        """The configuration of a trial with `params`, as `TrialConfig.from_flat` takes it."""
        task = {"model": self.searched.model, "data": self.data, "image_size": self.image_size}
        limits = {"epochs": self.epochs, "patience": self.patience, "seed": self.seed}
        return {**task, **limits, **params}

    def shown(self, params: Mapping[str, Value]) -> dict[str, str]:
        """The same as text for people, with the data set's name instead of its folder."""
        named = {**self.flat(params), "data": self.data_name}
        return {name: str(value) for name, value in named.items()}

    def differences(self, other: "Plan") -> list[str]:
        """What `other` changes in this plan, except for what may change."""
        names = [f.name for f in dataclasses.fields(self) if f.name not in _MAY_CHANGE]
        return [
            f"{name}: was {getattr(self, name)!r}, now {getattr(other, name)!r}"
            for name in names
            if getattr(self, name) != getattr(other, name)
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
        return cls(**document)


def _document_mistakes(document: Any) -> list[str]:
    """What a saved plan lacks, has too much or has of the wrong type."""
    if not isinstance(document, dict):
        return ["it holds no JSON object"]
    given = dict(cast(dict[str, Any], document))
    settings = given.pop("settings", {})
    wrong = fields.mistakes([Plan], given, "a plan")
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
    return wrong


def name_mistakes(sweep: str) -> list[str]:
    if not _NAME.fullmatch(sweep):
        return [
            f"a sweep's name has 1 to 64 letters, digits, dots, dashes or underscores and begins "
            f"with none of dot and dash, given {sweep!r}"
        ]
    if sweep in RESERVED:
        return [f"a sweep cannot be called {sweep!r}: the home folder uses that name"]
    return []
