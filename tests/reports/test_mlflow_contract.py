"""What `search` writes and `reports` reads has the same names, which are in stores already."""

import ast
import os
from pathlib import Path

import pytest

from reports import figures
from reports.mlflow_contract import (
    REASON_TAGS,
    STATE,
    STATUS,
    Kind,
    Tag,
    address,
    sqlite_file,
    where,
)
from search.record import State
from trainables.errors import BadRequestError
from trainables.home import Home
from trainables.metrics import EFFICIENCY, TRAINING_TIME

ROOT = Path(__file__).parents[2]
TAGS = {name: value for name, value in vars(Tag).items() if name.isupper()}


def test_the_names_are_those_of_stores_that_exist():
    assert {value for name, value in vars(Kind).items() if name.isupper()} == {
        "sweep",
        "trial",
        "measurement",
    }
    assert Tag.PARENT == "mlflow.parentRunId"
    ours = TAGS.items() - {("PARENT", Tag.PARENT)}
    assert all(value == name.lower() for name, value in ours)


def test_every_state_of_a_run_has_a_status_and_a_mark_in_figures():
    written = {state.value for state in State} - {State.DUPLICATE.value}
    assert set(STATUS) == set(figures.STATES) == written
    assert {STATUS[state] for state in STATE.values()} == set(STATE)
    assert all(STATUS[state] == status for status, state in STATE.items())


def test_what_was_not_measured_has_a_tag_for_its_reason():
    assert set(REASON_TAGS) == {*TRAINING_TIME, *EFFICIENCY}


def test_the_store_is_in_the_home_unless_the_environment_says_where(monkeypatch, tmp_path):
    for said in (None, ""):
        if said is not None:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", said)
        assert address(Home(tmp_path)) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert address(Home(tmp_path)) == "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:////a/mlflow.db", Path("/a/mlflow.db")),
        ("sqlite:///mlflow.db", Path("mlflow.db")),
        ("sqlite+pysqlite:////a/%25/what%3F/x.db", Path("/a/%/what?/x.db")),
        ("sqlite:////a/x.db?timeout=3", Path("/a/x.db")),
        ("sqlite://", None),
        ("sqlite:///", None),
        ("postgresql://host/db", None),
        ("http://127.0.0.1:5000", None),
    ],
)
def test_a_store_in_a_file(uri, file):
    assert sqlite_file(uri) == file


def test_a_condition_names_every_tag():
    found = where({Tag.PARENT: "1", Tag.KIND: Kind.TRIAL})
    assert found == "tags.mlflow.parentRunId = '1' and tags.kind = 'trial'"


@pytest.mark.parametrize("house", ["search", "reports"])
def test_no_other_file_spells_a_tag(house):
    """Those names that mean nothing else; a typo of one would empty a cell in silence."""
    telling = {value for value in TAGS.values() if value.startswith(("efficiency_", "training_"))}
    telling |= {Tag.PARENT, Tag.CONFIG_HASH}
    for path in sorted((ROOT / house).glob("*.py")):
        if path.stem == "mlflow_contract":
            continue
        nodes = ast.walk(ast.parse(path.read_text()))
        texts = {node.value for node in nodes if isinstance(node, ast.Constant)}
        assert not texts & telling, path


@pytest.mark.parametrize(
    "uri", ["file:./mlruns", "file:///a/mlruns", "./mlruns", "mlruns", "s3://b"]
)
def test_a_store_that_cannot_be_searched_is_refused(monkeypatch, tmp_path, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(BadRequestError, match="neither a database nor a server"):
        address(Home(tmp_path))


def test_this_machine_is_asked_without_a_proxy(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "example.org,localhost")
    monkeypatch.delenv("no_proxy", raising=False)
    address(Home(tmp_path))
    address(Home(tmp_path))
    assert os.environ["NO_PROXY"] == "example.org,localhost,127.0.0.1,::1"
    assert os.environ["no_proxy"] == "localhost,127.0.0.1,::1"
