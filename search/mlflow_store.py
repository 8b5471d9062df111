"""MLflow's store as it is found: made, opened, or put aside if it cannot be."""

import os
import time
from typing import Any

from reports.mlflow_contract import explained, sqlite_file
from trainables.addresses import sqlite_url
from trainables.errors import StorageError
from trainables.lock import exclusive


class DamagedStoreError(StorageError):
    """A file of MLflow's that no version of it can read."""


def client_of(uri: str) -> Any:
    """A client of the MLflow at `uri`; the tables of an SQLite file are made on first use.

    That takes seconds, and MLflow can never again open a file in which it was killed meanwhile: so
    they are made beside and renamed.

    Raises:
        StorageError: The file is of another version of MLflow, or damaged (DamagedStoreError).
    """
    # a dead server must be noticed in seconds: we retry ourselves
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    opened: Any = MlflowClient  # its types are incomplete
    file = sqlite_file(uri)
    if file is None:
        return opened(uri)
    if not file.exists():
        with exclusive(file.with_name(f".{file.name}.lock")):
            if not file.exists():
                draft = file.with_name(f".{file.name}.new")
                draft.unlink(missing_ok=True)
                opened(sqlite_url(draft)).search_experiments(max_results=1)
                draft.rename(file)
    try:
        client = opened(uri)
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError) as error:
        said = explained(error, uri)
        kind = DamagedStoreError if "is damaged" in said else StorageError
        raise kind([said]) from error
    return client


def usable(uri: str) -> str:
    """See that a file of MLflow's can be used, before anything is trained; says what was done.

    A damaged one is put aside: MLflow is written again from the studies and the trials' folders.
    A server is not asked: it may come back.

    Raises:
        StorageError: The file is of another version of MLflow.
    """
    file = sqlite_file(uri)
    if file is None or not file.exists():
        return ""
    try:
        client_of(uri)
    except DamagedStoreError:
        aside = file.with_name(f"{file.name}.damaged-{time.time_ns()}")
        file.rename(aside)
        for log in file.parent.glob(f"{file.name}-*"):  # SQLite would replay it
            log.rename(f"{aside}{log.name.removeprefix(file.name)}")
        others = "python -m search.verify --rebuild writes what other sweeps had"
        return f"MLflow's database was damaged and is made again, kept {aside.name}; {others}"
    return ""
