"""The one table of measured costs, `measurements.parquet`, and the journal that it is made from.

The table has one row per `Identity`, which is used again instead of measuring the same again. Every
answer is first written as a line of `measurements.jsonl`, so nothing is lost if a process dies, and
the table can always be made again. Several processes may add to one folder.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spaces.space import Value
from trainables import records
from trainables.efficiency.fresh import ENDED_BY
from trainables.efficiency.summary import Answer, summarise
from trainables.efficiency.table import arrow
from trainables.lock import exclusive

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What is measured, in which setting and under which conditions; equal if the `key` is.

    Attributes:
        model, params, num_classes: what is built.
        image_size: in pixels.
        device: what it runs on.
        threads: PyTorch's threads on the CPU; None means as many as the environment says.
        precision, training_precision, mode: those of `execution.Setting`.
        timing_seconds: the time for timing, which keeps quick and thorough measurements apart.
        versions: those of the software.
        metrics: those that were measured, of the catalogue; empty if all were.
    """

    model: str
    params: Mapping[str, Value]
    image_size: int
    num_classes: int
    device: str
    threads: int | None
    precision: str
    training_precision: str
    mode: str
    timing_seconds: float
    versions: Mapping[str, str]
    metrics: Sequence[str] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The fields as JSON takes them."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        found |= {"params": dict(self.params), "versions": dict(self.versions)}
        if not found.pop("metrics"):  # as earlier versions write it
            return found
        return found | {"metrics": sorted(self.metrics)}

    @property
    def columns(self) -> Row:
        """The identity as the table holds it: mappings as JSON with one order and spelling.

        `params` is called `architecture` there, since the catalogue's `params` counts parameters.
        """
        columns = self.document
        metrics = columns.pop("metrics", ())
        params = {name: _whole(value) for name, value in columns.pop("params").items()}
        texts = {"architecture": _canonical(params), "versions": _canonical(self.versions)}
        some = {"metrics": _canonical(metrics)} if metrics else {}  # all: as earlier versions
        return columns | texts | some | {"timing_seconds": float(self.timing_seconds)}

    @property
    def key(self) -> str:
        """SHA-256 of `columns`, in hexadecimal digits."""
        return hashlib.sha256(_canonical(self.columns).encode()).hexdigest()


# earlier versions kept an interruption as an answer
_NO_ANSWERS = {f"{ENDED_BY} {signal}" for signal in ("SIGINT", "SIGTERM", "SIGHUP")}


class Results:
    """The measurements in `folder`, which is made when the first one is added."""

    def __init__(self, folder: Path):
        self.path = folder / "measurements.parquet"
        self._journal, self._lock = folder / "measurements.jsonl", folder / "measurements.lock"
        self._read, self._lines = 0, 0  # bytes and lines of the journal
        self.damages: list[str] = []  # lines of the journal that say nothing
        self._rows: dict[str, Row] = {}
        self._identities: dict[str, Identity] = {}
        self._answers: dict[str, list[Answer]] = {}
        self._catch_up()

    def get(self, identity: Identity) -> Row | None:
        """The row of `identity`, by column, as last read or added; None if there is none."""
        return self._rows.get(identity.key)

    @property
    def identities(self) -> list[Identity]:
        """The identities of all rows, in the order in which they were added."""
        return list(self._identities.values())

    def add(self, identity: Identity, answers: Sequence[Answer], label: str = "") -> Row:
        """Add `answers` of `measure_fresh` to those of `identity`; returns the new row.

        An answer with an `error` counts as a failure, and its reason stays in the row. `label` is a
        name of the subject for readers.
        """
        line = {"label": label, "identity": identity.document, "answers": list(answers)}
        with exclusive(self._lock):
            self._catch_up()
            if self._journal.exists():  # a line torn by a crash would spoil the next one
                os.truncate(self._journal, self._read)
            records.append_line(self._journal, line, sync=True)
            self._catch_up()
            self._write()
        return self._rows[identity.key]

    def table(self) -> pa.Table:
        """All rows, made from the journal; replaces a file that is missing, damaged or out of date.

        The file is not trusted: Parquet has checksums for its pages, but none for the part that
        says where they are.
        """
        with exclusive(self._lock):
            self._catch_up()
            return self._write()

    def _catch_up(self) -> None:
        """Read the whole lines that were added to the journal since the last time.

        A damaged one counts for nothing, and what it measured is measured again.
        """
        if not self._journal.exists():
            return
        with self._journal.open("rb") as file:
            file.seek(self._read)
            lines = file.read().split(b"\n")[:-1]
        for text in lines:
            self._lines += 1
            try:
                self._take(records.parse(text))
            except (KeyError, TypeError, ValueError) as error:
                where = f"{self._journal}, line {self._lines}"
                self.damages.append(f"{where} is damaged ({error}); it is as if never measured")
        self._read += sum(len(text) + 1 for text in lines)

    def _take(self, line: dict[str, Any]) -> None:
        identity = Identity(**line["identity"])
        key = identity.key
        new = [answer for answer in line["answers"] if answer.get("error") not in _NO_ANSWERS]
        answers = [*self._answers.get(key, []), *new]
        if not answers:
            return
        label = line["label"] or self._rows.get(key, {}).get("label", "")
        known = {"key": key, "label": label, **identity.columns}
        self._rows[key] = summarise(answers) | known
        self._identities.setdefault(key, identity)
        self._answers[key] = answers

    def _write(self) -> pa.Table:
        table = arrow(list(self._rows.values()))
        with records.beside(self.path) as draft:
            pq.write_table(table, draft, write_page_checksum=True)
        return table


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False)


def _whole(value: Value) -> Value:
    """A whole number with one spelling: 1.0 and 1 make the same model."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
