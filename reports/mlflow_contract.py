"""The contract with MLflow: what `search` writes there and `reports` reads, each name once.

There is one experiment per variant, with its name. It has one run per sweep, beneath that one run
per trial, and beneath that one run per measurement; `Kind` tells them apart. Metrics are called as
in `trainables.metrics`: those of EPOCH have one point per epoch, all others one at step 0.
"""

import json
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from trainables.addresses import redacted, spare_loopback, sqlite_url
from trainables.errors import BadRequestError
from trainables.home import Home
from trainables.metrics import EFFICIENCY, FINAL, TRAINING_TIME

PAGE = 1000  # runs in one answer of MLflow
IDENTITY = "identity.json"  # in a sweep's folder
_STORES = re.compile(r"(https?|(sqlite|postgresql|mysql|mssql)(\+\w+)?)://")
_SQLITE = re.compile(r"sqlite(\+pysqlite)?:///(?P<file>[^?]+)")


class Kind:
    """What a run stands for: the values of `Tag.KIND`."""

    SWEEP = "sweep"
    TRIAL = "trial"
    MEASUREMENT = "measurement"


class Tag:
    """Names of tags. A tag is left out if its value is not known when the run is written."""

    PARENT = "mlflow.parentRunId"
    KIND = "kind"
    SWEEP = "sweep"
    SWEEP_ID = "sweep_id"  # one for each sweep of each home; runs of earlier versions have none
    # of a sweep
    VARIANT = "variant"
    DATA = "data"
    IMAGE_SIZE = "image_size"
    COMMAND = "command"
    PROVENANCE = "provenance"
    PLAN = "plan"
    # of a sweep and of a trial
    DATA_SHA256 = "data_sha256"
    GIT_SHA = "git_sha"
    # of a trial
    TRIAL_KEY = "trial_key"
    CONFIG_HASH = "config_hash"
    PUBLISHED = "published"
    REPEAT_OF = "repeat_of"  # the key of the trial that was trained again with another seed
    TIE = "tie"  # YES if its mean over seeds is no worse than the best, as far as can be told
    STATE = "state"
    REASON = "reason"
    TRAINING_TIME_REASON = "training_time_reason"
    # of a trial and of a measurement
    EFFICIENCY_DEVICE = "efficiency_device"
    EFFICIENCY_REASON = "efficiency_reason"
    EFFICIENCY_OTHER_LOAD = "efficiency_other_load"  # YES, or the tag is missing
    # of a measurement: the key of its row in the table of measurements
    MEASUREMENT = "measurement"


YES = "true"

# MLflow's status of a trial's run, by the trial's state
STATUS = {
    "running": "RUNNING",
    "paused": "SCHEDULED",
    "complete": "FINISHED",
    "stopped": "KILLED",
    "infeasible": "KILLED",
    "failed": "FAILED",
}
# the state of a run without the tag
STATE = {
    "RUNNING": "running",
    "SCHEDULED": "paused",
    "FINISHED": "complete",
    "KILLED": "stopped",
    "FAILED": "failed",
}
# what earlier versions called a state
EARLIER_STATES = {"pruned": "stopped"}

# the metrics of a trial that have one value, in contrast to its curves
SCALARS = (*FINAL, *TRAINING_TIME, *EFFICIENCY)
# the tag that tells why a metric is missing
REASON_TAGS = {
    **dict.fromkeys(TRAINING_TIME, Tag.TRAINING_TIME_REASON),
    **dict.fromkeys(EFFICIENCY, Tag.EFFICIENCY_REASON),
}


def address(home: Home) -> str:
    """Where MLflow's store is: as MLFLOW_TRACKING_URI says, else SQLite in the home.

    Raises:
        BadRequestError: The store there cannot hold a sweep.
    """
    if wrong := address_mistakes():
        raise BadRequestError(wrong)
    spare_loopback()
    return _chosen() or sqlite_url(home.mlflow)


def _chosen() -> str | None:
    return os.environ.get("MLFLOW_TRACKING_URI")


def address_mistakes() -> list[str]:
    """What is wrong with MLFLOW_TRACKING_URI: a folder of files cannot be searched as we do."""
    uri = _chosen()
    if not uri or _STORES.match(uri):
        return []
    return [
        f"MLFLOW_TRACKING_URI is {redacted(uri)}, which is neither a database nor a server: unset "
        "it for SQLite in the home, or let it be like sqlite:////folder/mlflow.db or "
        "http://host:5000"
    ]


def sweep_id(home: Home, sweep: str) -> str:
    """The id of a home's sweep, which its runs have; empty if it has none."""
    try:
        return json.loads((home.path / sweep / IDENTITY).read_text(encoding="utf-8"))["id"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def explained(error: Exception, uri: str) -> str:
    """What is wrong with the store at `uri`, in a line, and what mends it if that is known."""
    said = str(error).strip() or type(error).__name__
    if "out-of-date database schema" in said:
        upgrade = f"make a copy of it, then: python -m mlflow db upgrade {shlex.quote(uri)}"
        return f"MLflow's database is of an older MLflow; {upgrade}"
    if "Can't locate revision" in said:
        return f"MLflow's database {uri} is of a newer MLflow than the one that is installed"
    if "file is not a database" in said or "malformed" in said:
        mend = "move it away, then python -m search.verify --rebuild writes it again"
        return f"MLflow's database {sqlite_file(uri) or uri} is damaged; {mend}"
    return f"MLflow: {said.splitlines()[0]}"


def sqlite_file(uri: str) -> Path | None:
    """The file of a store in SQLite; None for another store."""
    found = _SQLITE.match(uri)
    return Path(unquote(found["file"])) if found else None


def is_server(uri: str) -> bool:
    return uri.startswith("http")


def all_pages(page: Callable[[str | None], Any]) -> list[Any]:
    """Everything that a search of MLflow finds; `page(token)` gives one page of it."""
    found: list[Any] = []
    token = None
    while True:
        answer = page(token)
        found += answer
        if not (token := answer.token):
            return found


def where(tags: Mapping[str, str]) -> str:
    """MLflow's filter for runs that have all these `tags`."""
    return " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())


def runs_of(client: Any, experiment_ids: Sequence[str], tags: Mapping[str, str]) -> list[Any]:
    """All runs with these `tags`, however many pages they fill; the oldest first."""
    return all_pages(
        lambda token: client.search_runs(
            list(experiment_ids),
            where(tags),
            max_results=PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
    )
