"""The lines of a trial's `metrics.jsonl`, one per epoch: written and read here alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainables import records
from trainables.metrics import EPOCH, FINAL

FILE = "metrics.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What an epoch of a trial ended in.

    `metrics` are those of EPOCH in `trainables.metrics`, and of FINAL after the last epoch of a
    complete trial. The last line has a `state`: `complete`, or `failed` / `infeasible` with a
    `reason`. `notes` say what a person should know. `ended_unix_s` is when the epoch was over, 0
    until it is.
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
        """The line in a `document`; what else that holds, as a result of Tune does, is left out."""
        return cls(
            epoch=document["epoch"],
            metrics={n: v for n, v in document.items() if n in EPOCH or n in FINAL},
            state=document.get("state"),
            reason=document.get("reason", ""),
            notes=tuple(document.get("notes", ())),
            ended_unix_s=document.get("ended_unix_s", 0.0),
        )

    def document(self) -> dict[str, Any]:
        """The line as it is written and reported: flat, without what it has not."""
        known = {
            "state": self.state,
            "reason": self.reason,
            "notes": list(self.notes),
            "ended_unix_s": self.ended_unix_s,
        }
        told = {name: value for name, value in known.items() if value}
        return {"epoch": self.epoch, **self.metrics, "done": self.done, **told}


def read(folder: Path) -> list[Line]:
    """The lines of the trial in `folder`; none if there is no log, and no torn last one."""
    return [Line.of(document) for document in records.read_lines(folder / FILE)]


def exists(folder: Path) -> bool:
    return (folder / FILE).exists()


def append(folder: Path, line: Line) -> None:
    """Write one more line, which is on disk before this returns."""
    records.append_line(folder / FILE, line.document(), sync=True)


def replace(folder: Path, lines: Iterable[Line]) -> None:
    """Let the log hold these lines and no others."""
    records.replace_lines(folder / FILE, (line.document() for line in lines))
