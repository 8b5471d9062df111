"""The lines of a trial's `metrics.jsonl`, one per epoch; only this module writes and reads them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainables import records
from trainables.metrics import EPOCH, FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The result of one epoch of a trial.

    `metrics` are those of EPOCH in `trainables.metrics`, and those of FINAL after the last epoch of
    a complete trial. The last line has a `state`: `complete`, or `failed` / `infeasible` with a
    `reason`. `notes` are for people. `ended_unix_s` is the time when the epoch ended, 0 before.
    """

    epoch: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    state: str | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    ended_unix_s: float = 0.0

    @property
    def done(self) -> bool:
        """Whether it is the trial's last."""
        return self.state is not None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Line":
        """The line in a `document`, ignoring other entries, such as those of a result of Tune."""
        return cls(
            epoch=document["epoch"],
            metrics={n: v for n, v in document.items() if n in EPOCH or n in FINAL},
            state=document.get("state"),
            reason=document.get("reason", ""),
            notes=tuple(document.get("notes", ())),
            ended_unix_s=document.get("ended_unix_s", 0.0),
        )

    def document(self) -> dict[str, Any]:
        """The line as it is written and reported: flat, without empty entries."""
        known = {
            "state": self.state,
            "reason": self.reason,
            "notes": list(self.notes),
            "ended_unix_s": self.ended_unix_s,
        }
        told = {name: value for name, value in known.items() if value}
        return {"epoch": self.epoch, **self.metrics, "done": self.done, **told}


def read(log: Path) -> list[Line]:
    """The lines of a trial's `log`, none if there is no file; leaves out a torn last line."""
    return [Line.of(document) for document in records.read_lines(log)]


def append(log: Path, line: Line) -> None:
    """Write one more line, which is on disk before this returns."""
    records.append_line(log, line.document(), sync=True)


def replace(log: Path, lines: Iterable[Line]) -> None:
    """Let the log hold these lines and no others."""
    records.replace_lines(log, (line.document() for line in lines))
