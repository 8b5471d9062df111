"""The lines of a trial's `metrics.jsonl`, one per epoch; only this module writes and reads them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from trainables import records
from trainables.metrics import EPOCH, FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The result of one epoch of a trial.

    `metrics` are those of EPOCH in `trainables.metrics`, and those of FINAL after the last epoch of
    a complete trial. The last line has a `state`: `complete`, or `failed` / `infeasible` with a
    `reason`. `notes` are for people. `ended_unix_s` is the time when the epoch ended, 0 before. The
    last line has the sha256 of the folder's `files`.
    """

    epoch: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    state: str | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    ended_unix_s: float = 0.0
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether it is the trial's last."""
        return self.state is not None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Line":
        """The line in a `document`, ignoring other entries, such as those of a result of Tune.

        Raises KeyError or TypeError if it holds no line.
        """
        numbers = {n: v for n, v in document.items() if n in EPOCH or n in FINAL}
        if not all(
            isinstance(value, (int, float)) for value in (document["epoch"], *numbers.values())
        ):
            raise TypeError("a number is none")
        return cls(
            epoch=document["epoch"],
            metrics=numbers,
            state=document.get("state"),
            reason=document.get("reason", ""),
            notes=tuple(document.get("notes", ())),
            ended_unix_s=document.get("ended_unix_s", 0.0),
            files=document.get("files", {}),
        )

    def document(self) -> dict[str, Any]:
        """The line as it is written and reported: flat, without empty entries."""
        known = {
            "state": self.state,
            "reason": self.reason,
            "notes": list(self.notes),
            "ended_unix_s": self.ended_unix_s,
            "files": dict(self.files),
        }
        told = {name: value for name, value in known.items() if value}
        return {"epoch": self.epoch, **self.metrics, "done": self.done, **told}


def read(log: Path) -> list[Line]:
    """The sound lines of a trial's `log`; none if there is no file."""
    return scan(log).sound


def scan(log: Path) -> records.Lines:
    """The lines of a trial's `log`, each a `Line`, and which of them are damaged."""
    return records.scan(log, Line.of)


def scan_attempts(path: Path) -> records.Lines:
    """The events of a trial's `attempts.jsonl`, and which of them are damaged."""

    def event(document: dict[str, Any]) -> dict[str, Any]:
        datetime.fromisoformat(document.get("at", "2000-01-01"))
        return document | {"event": str(document["event"]), "epoch": int(document["epoch"])}

    return records.scan(path, event)


def append(log: Path, line: Line) -> None:
    """Write one more line, which is on disk before this returns."""
    records.append_line(log, line.document(), sync=True)


def replace(log: Path, lines: Iterable[Line]) -> None:
    """Let the log hold these lines and no others."""
    records.replace_lines(log, (line.document() for line in lines))
