"""What lies where in a trial's folder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TrialFolder:
    """The files of a trial. A first stage has the same files in a folder of its own."""

    path: Path

    @property
    def config(self) -> Path:
        """The flat configuration that is trained here."""
        return self.path / "config.json"

    @property
    def provenance(self) -> Path:
        """Code, versions, hardware and data at the last start."""
        return self.path / "provenance.json"

    @property
    def metrics(self) -> Path:
        """One line per epoch, written before it is reported."""
        return self.path / "metrics.jsonl"

    @property
    def attempts(self) -> Path:
        """One line for each start of the trial, and of an epoch."""
        return self.path / "attempts.jsonl"

    @property
    def confusion(self) -> Path:
        """Confusion matrices of the best epoch."""
        return self.path / "confusion.json"

    def digests(self) -> dict[str, str]:
        """The sha256 of each document that no other place holds whole, by its name."""
        files = (self.config, self.provenance, self.confusion)
        present = [file for file in files if file.exists()]
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in present}

    @property
    def checkpoints(self) -> Path:
        """Commits of a trial that has not ended."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The commit with the weights of the best epoch."""
        return self.path / "best" / "weights"

    @property
    def stages(self) -> Path:
        """First stages, if the trial does not share them with others."""
        return self.path / "stages"
