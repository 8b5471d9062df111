"""What the parts of `gpu.py` share: how large they run, and where their figures go at once."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

TOLD = "figures.jsonl"
TABLE = "table.md"
Tell = Callable[..., None]
"""`tell(what, result, **figures)`: a row of the table; the figures in base units, for programs."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the parts run. `toy` sizes rehearse everything; `scratch` keeps data between parts."""

    device: torch.device
    toy: bool
    scratch: Path

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Ledger:
    """A line of JSON and a row of a Markdown table for all that is found, on disk at once."""

    def __init__(self, folder: Path):
        self._lines, self._table = folder / TOLD, folder / TABLE

    def begin(self, heading: str) -> None:
        self._lines.write_text("")
        self._table.write_text(f"{heading}\n\n| part | what | result |\n| --- | --- | --- |\n")

    def add(self, part: str, what: str, result: str, **figures: Any) -> None:
        line = {"part": part, "what": what, "result": result, "at": time.time(), **figures}
        with self._lines.open("a") as file:
            file.write(json.dumps(line) + "\n")
        cells = " | ".join(cell.replace("|", "\\|").strip() for cell in (part, what, result))
        with self._table.open("a") as file:
            file.write(f"| {cells} |\n")

    def text(self) -> str:
        return self._table.read_text()
