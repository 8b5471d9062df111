"""The study's database: what cannot be, what is waited for, and how its failure is told."""

import sqlite3

import optuna
import pytest
from sqlalchemy import event, exc

from search import storage
from search.sweep_folder import database_mistakes
from trainables.errors import StorageError

CANARY = "c4n4ry"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "no URL"),
        (f"nonsense://me:{CANARY}@db/x", "knows no such database"),
        (f"postgresql://me:{CANARY}@db:port/x", "no URL"),
        (f"mysql+aiomysql://me:{CANARY}@db/x", "not installed"),
    ],
)
def test_urls_that_cannot_be(url, said):
    (mistake,) = database_mistakes(url)
    assert said in mistake
    assert CANARY not in mistake


def test_urls_that_can_be():
    assert database_mistakes(None) == database_mistakes("sqlite:////tmp/x.db") == []


def test_a_database_that_cannot_be_opened_is_told_in_a_line(tmp_path):
    with pytest.raises(StorageError, match="unable to open database file") as caught:
        storage.opened(f"sqlite:///{tmp_path}/no/where.db", pytest.fail)
    assert len(caught.value.mistakes[0].splitlines()) == 1


class Connecting:
    """A driver that refuses the first `refusals` connections."""

    def __init__(self, refusals, said):
        self.refusals, self.said = refusals, said

    def __call__(self, dialect, *arguments, **options):
        if self.refusals:
            self.refusals -= 1
            raise sqlite3.OperationalError(self.said)
        return dialect.loaded_dbapi.connect(*arguments, **options)


@pytest.fixture
def refusing(monkeypatch):
    def to(refusals, said):
        from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

        monkeypatch.setattr(storage, "_WAIT_SECONDS", (0.01, 0.01, 0.01))
        connect = Connecting(refusals, said)
        monkeypatch.setattr(SQLiteDialect_pysqlite, "connect", lambda *a, **k: connect(*a, **k))

    return to


@pytest.mark.parametrize("said", ["connection refused", "the database system is starting up"])
def test_a_database_that_will_be_back_is_waited_for(refusing, tmp_path, said):
    refusing(2, said)
    told: list[str] = []
    storage.opened(f"sqlite:///{tmp_path}/x.db", told.append)
    (note,) = told
    assert said in note


def test_it_is_waited_for_so_long_and_no_longer(refusing, tmp_path):
    refusing(99, "connection refused")
    with pytest.raises(StorageError, match="connection refused"):
        storage.opened(f"sqlite:///{tmp_path}/x.db", lambda _text: None)


def test_a_wrong_password_is_not_waited_for(refusing, tmp_path):
    refusing(1, 'password authentication failed for user "me"')
    with pytest.raises(StorageError, match="password authentication failed"):
        storage.opened(f"sqlite:///{tmp_path}/x.db", pytest.fail)


def test_a_failure_in_the_middle_passes_what_catches_exceptions(tmp_path):
    opened = storage.opened(f"sqlite:///{tmp_path}/x.db", pytest.fail)
    study = optuna.create_study(storage=opened)
    with sqlite3.connect(tmp_path / "x.db") as there:
        there.execute("PRAGMA max_page_count = 1")
        there.execute("DROP TABLE trials")

    def attend_to_a_trial():
        try:
            study.ask()
        except Exception as error:  # noqa: BLE001 - as Tune does
            pytest.fail(f"taken for a trial's: {error}")

    with pytest.raises(StorageError, match="failed: no such table") as caught, storage.told():
        attend_to_a_trial()
    assert len(caught.value.mistakes) == 1


class CutOff:
    """A database that ends connections in the midst of statements."""

    def __init__(self, said, times):
        self.said, self.left = said, times

    def __call__(self, cursor, statement, parameters, context):  # noqa: ARG002
        if statement.startswith("INSERT INTO trials") and self.left:
            self.left -= 1
            raise sqlite3.OperationalError(self.said)


def cut_off(opened, said, times):
    engine = opened._backend.engine
    cut = CutOff(said, times)
    event.listen(engine, "do_execute", cut)
    return cut


def test_what_a_lost_connection_cut_off_is_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_WAIT_SECONDS", (0.0, 0.0, 0.0, 0.0))
    opened = storage.opened(f"sqlite:///{tmp_path}/x.db", pytest.fail)
    study = optuna.create_study(storage=opened)
    cut = cut_off(opened, "terminating connection due to administrator command", 3)
    trial = study.ask()
    trial.set_user_attr("a", 1)
    assert cut.left == 0
    (found,) = optuna.load_study(study_name=study.study_name, storage=opened).trials
    assert found.user_attrs == {"a": 1}


@pytest.mark.parametrize(
    ("said", "times"),
    [("server closed the connection unexpectedly", 99), ("disk is full", 1), ("refused", 1)],
)
def test_it_is_not_done_again_for_ever_or_where_that_does_not_help(
    tmp_path, monkeypatch, said, times
):
    monkeypatch.setattr(storage, "_WAIT_SECONDS", (0.0, 0.0, 0.0, 0.0))
    opened = storage.opened(f"sqlite:///{tmp_path}/x.db", pytest.fail)
    study = optuna.create_study(storage=opened)
    cut = cut_off(opened, said, times)
    with pytest.raises(storage.StudyLost, match=said):
        study.ask()
    assert times - cut.left == (4 if times > 1 else 1)


def test_sql_is_left_out():
    driver = sqlite3.OperationalError("database or disk is full")
    error = exc.OperationalError("INSERT INTO trials ...", {}, driver)
    with pytest.raises(StorageError) as caught, storage.told():
        raise error
    assert caught.value.mistakes == ["the study's database failed: database or disk is full"]
