"""The home: the folder in which everything is kept unless an option says otherwise."""

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from trainables.errors import StorageError


@dataclass(frozen=True, slots=True)
class Home:
    """What lies where in a home.

    The home also holds one folder per sweep, and the table of measurements, whose files are named
    by `trainables.efficiency.results`.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def data(self) -> Path:
        """One folder per data set."""
        return self.path / "data"

    @property
    def reports(self) -> Path:
        """Reports, one folder per sweep."""
        return self.path / "reports"

    @property
    def mlflow(self) -> Path:
        """MLflow's database."""
        return self.path / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """MLflow's files, one folder per experiment."""
        return self.path / "mlflow-artifacts"

    @property
    def ui_log(self) -> Path:
        """The output of MLflow's server."""
        return self.path / "ui.log"

    def prepare(self) -> None:
        """Make the home.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)  # plans and logs are for their owner
            probe = self.path / f".probe-{os.getpid()}"
            probe.write_bytes(b"x" * 4096)
            probe.unlink()
        except OSError as error:
            said = f"the home folder {self} cannot be written ({error.strerror})"
            raise StorageError([f"{said}; choose another with --home or SEARCH_HOME"]) from error


_ANY = Home(Path())
RESERVED = tuple(path.name for path in (_ANY.data, _ANY.reports, _ANY.artifacts))  # are no sweeps


def default() -> Home:
    """`SEARCH_HOME` unless it is empty, else `sweeps` where the command is run."""
    return Home(Path(os.environ.get("SEARCH_HOME") or "sweeps"))


FOLDER = "efficient-vit-search"  # what is ours in places that others use, too


def user_home() -> Path | None:
    """The user's home folder, if the system knows one and it is there."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_dir() else None


def own_temporary() -> Path:
    """A folder in the temporary one that is this user's and nobody else's. Raises StorageError."""
    folder = Path(tempfile.gettempdir()) / f"{FOLDER}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise StorageError([f"{folder} is somebody else's; point SEARCH_CACHE and HOME elsewhere"])
    return folder


def replace_missing_home() -> None:
    """Give a user without a home, such as a container's, one: libraries end without it."""
    if user_home() is None:
        os.environ["HOME"] = str(own_temporary())
        os.environ.setdefault("USER", str(os.getuid()))


def add_option(parser: argparse.ArgumentParser, holds: str = "everything") -> None:
    """Add `--home` to `parser`; `holds` says what the folder is for."""
    replace_missing_home()
    parser.add_argument(
        "--home",
        type=lambda text: Home(Path(text)),
        default=default(),
        metavar="DIR",
        help=f"folder of {holds} (default: $SEARCH_HOME, else sweeps)",
    )
