"""A trial of a sweep as the study knows it, and what can become of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from spaces.space import Value

ACCEPTED = "trained"  # as studies on disks call it


class State(StrEnum):
    """What became of a trial; every state except `RUNNING` is final.

    A COMPLETE trial used its budget or was ended by its own patience; a PRUNED one was stopped
    early; a FAILED one ended with an error; an INFEASIBLE one broke a constraint, before or during
    training; a DUPLICATE was suggested again and not trained.
    """

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    INFEASIBLE = "infeasible"
    DUPLICATE = "duplicate"


@dataclass(slots=True)
class Record:
    """A trial as the study knows it: a suggestion that was `accepted` for training, or refused."""

    number: int
    key: str
    params: dict[str, Value]
    state: State
    reason: str = ""
    published: str = ""
    accepted: bool = True
    epoch: int = 0
    value: float | None = None
    metrics: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def noted(
        cls, number: int, attributes: Mapping[str, Any], *, epoch: int, value: float | None
    ) -> "Record":
        """The trial whose `attributes` a study has."""
        return cls(
            number=number,
            key=attributes["trial_key"],
            params=attributes["params"],
            state=State(attributes.get("state", State.RUNNING)),
            reason=attributes.get("reason", ""),
            published=attributes.get("published", ""),
            accepted=attributes[ACCEPTED],
            epoch=epoch,
            value=value,
        )


def config_hash(params: Mapping[str, Value]) -> str:
    """The identity of a configuration: equal for equal values in any order."""
    canonical = json.dumps(dict(sorted(params.items())), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
