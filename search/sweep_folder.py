"""What lies where in a sweep's folder, and which sweeps a home has."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from reports.mlflow_contract import IDENTITY
from trainables.addresses import redacted
from trainables.home import RESERVED, Home, add_option
from trainables.trial_folder import TrialFolder

_PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """The files of a sweep."""

    path: Path

    @classmethod
    def of(cls, home: Home, sweep: str) -> "SweepFolder":
        return cls(home.path / sweep)

    @property
    def plan(self) -> Path:
        """What was asked for."""
        return self.path / _PLAN

    @property
    def identity(self) -> Path:
        """The sweep's id, which its study and its runs in MLflow have, too."""
        return self.path / IDENTITY

    @property
    def study(self) -> Path:
        """The study, unless it is in another database."""
        return self.path / "study.db"

    @property
    def study_copy(self) -> Path:
        """The last good state of the study."""
        return self.path / "study.db.good"

    @property
    def trials(self) -> Path:
        """The trials, a folder each."""
        return self.path / "trials"

    @property
    def begun(self) -> bool:
        """Whether a sweep was begun here, whatever of it may be lost."""
        files = (self.plan, self.identity, self.study, self.study_copy)
        return any(file.exists() for file in files) or bool(self.trial_keys())

    def trial(self, key: str) -> TrialFolder:
        return TrialFolder(self.trials / key)

    def trial_keys(self) -> set[str]:
        """The trials that have a folder."""
        return {path.name for path in self.trials.iterdir()} if self.trials.is_dir() else set()

    def trained_keys(self) -> set[str]:
        """The trials whose folder says what is trained there."""
        return {key for key in self.trial_keys() if self.trial(key).config.exists()}

    @property
    def stages(self) -> Path:
        """First stages, which trials share."""
        return self.path / "stages"

    @property
    def lock(self) -> Path:
        """Held by the driver that works on the sweep."""
        return self.path / "lock"

    @property
    def quiet(self) -> Path:
        """Held by each lane while it trains, and alone by what measures."""
        return self.path / "quiet"

    @property
    def log(self) -> Path:
        """What Ray and libraries say."""
        return self.path / "log.txt"

    @property
    def ray(self) -> Path:
        """What Ray keeps while it trains; never read again."""
        return self.path / "ray"


def sweeps(home: Home) -> list[str]:
    """The sweeps in a home: its folders that hold a plan, or the id of a sweep that lost it."""
    if not home.path.is_dir():
        return []
    found = (file.parent.name for name in (_PLAN, IDENTITY) for file in home.path.glob(f"*/{name}"))
    return sorted(set(found).difference(RESERVED))


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--home` and `--database`: where sweeps are, and where their studies, if not there."""
    add_option(parser)
    url = os.environ.get("SEARCH_DATABASE")
    parser.add_argument("--database", default=url, help="SQLAlchemy URL of the studies (SQLite)")


def database_mistakes(url: str | None) -> list[str]:
    """What is wrong with the URL of `--database`, as far as that shows without connecting."""
    if not url:
        return []
    from sqlalchemy import create_engine, exc
    from sqlalchemy.engine import make_url

    hint = "a database's URL is like postgresql+psycopg://user@host/studies"
    try:
        engine = create_engine(make_url(url))
    except exc.NoSuchModuleError:
        return [f"--database {redacted(url)}: SQLAlchemy knows no such database; {hint}"]
    except ImportError as error:
        return [f"--database {redacted(url)}: its driver is not installed ({error})"]
    except (exc.ArgumentError, ValueError):
        return [f"--database {redacted(url)} is no URL that SQLAlchemy can read; {hint}"]
    engine.dispose()
    return []
