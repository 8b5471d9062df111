"""A study that outlives what happens to its file."""

import resource
import shutil
import sqlite3
import subprocess
import sys

import optuna
import pytest

from search.lock import SweepLockedError
from search.storage import StudyLost
from search.study_file import StudyFile
from search.sweep_folder import SweepFolder
from trainables.errors import StorageError


@pytest.fixture(autouse=True)
def _tables(monkeypatch, study_db):
    """The tables of a study are copied: to make them takes a third of a second."""
    monkeypatch.setattr(StudyFile, "_make", lambda self: shutil.copy(study_db, self.path))


def studied(folder, trials=3, *, closed=False):
    file = StudyFile(SweepFolder(folder))
    storage = file.storage()
    study = optuna.create_study(study_name="s", storage=storage, load_if_exists=True)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials)
    if closed:
        storage.remove_session()
        storage.engine.dispose()
    return file


def known_trials(file):
    return len(optuna.load_study(study_name="s", storage=file.storage()).trials)


def test_a_sound_study_is_left_alone(tmp_path):
    file = studied(tmp_path)
    assert file.heal() == ""
    assert known_trials(file) == 3


@pytest.mark.parametrize("damage", ["header", "truncated"])
def test_a_damaged_study_gives_way_to_the_good_copy(tmp_path, damage):
    file = studied(tmp_path)
    file.keep()
    studied(tmp_path, trials=2)
    for log in tmp_path.glob("study.db-*"):
        log.unlink()
    content = bytearray(file.path.read_bytes())
    content[:16] = b"x" * 16 if damage == "header" else content[:16]
    file.path.write_bytes(content if damage == "header" else content[: len(content) // 2])
    said = StudyFile(SweepFolder(tmp_path)).heal()
    assert "using the previous good one" in said
    assert known_trials(file) == 3
    assert list(tmp_path.glob("study.damaged-*")), "the damaged one is kept"


def test_no_room_for_the_copy_passes_tune(tmp_path):
    """No Exception, for Tune takes those for the trial's; the copy that is there stays."""
    file = studied(tmp_path)
    file.keep()
    before = (tmp_path / "study.db.good").read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(StudyLost, match=r"cannot be copied to .*study\.db\.good"):
            file.keep()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (tmp_path / "study.db.good").read_bytes() == before
    assert not list(tmp_path.glob("*.draft*"))


def test_a_damaged_study_without_a_copy_is_an_error(tmp_path):
    (tmp_path / "trials").mkdir()
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match=r"damaged .* no good copy"):
        StudyFile(SweepFolder(tmp_path)).heal()


def test_a_study_cut_off_while_it_was_made_is_made_again(tmp_path):
    sqlite3.connect(tmp_path / "study.db").execute("CREATE TABLE studies (x)").connection.close()
    file = StudyFile(SweepFolder(tmp_path))
    assert "begins again" in file.heal()
    assert known_trials(studied(tmp_path)) == 3


def test_both_damaged_is_an_error(tmp_path):
    file = studied(tmp_path)
    file.keep()
    for name in ("study.db", "study.db.good"):
        (tmp_path / name).write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match="has no good copy"):
        file.heal()


def test_an_emptied_study_gives_way_to_the_good_copy(tmp_path):
    file = studied(tmp_path)
    file.keep()
    for log in tmp_path.glob("study.db-*"):
        log.unlink()
    file.path.write_bytes(b"")
    assert "no such table: trials" in file.heal()
    assert known_trials(file) == 3


def test_the_log_of_a_damaged_study_is_not_played_into_the_copy(tmp_path):
    """A killed driver leaves its write-ahead log; SQLite would apply it to whatever lies there."""
    living = tmp_path / "living"
    living.mkdir()
    file = studied(living)
    file.keep()
    with sqlite3.connect(file.path) as connection:  # the copy has pages that the log has not
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    studied(living, trials=2)
    killed = tmp_path / "killed"
    shutil.copytree(living, killed)
    assert (killed / "study.db-wal").stat().st_size > 0
    content = bytearray((killed / "study.db").read_bytes())
    content[:16] = b"x" * 16
    (killed / "study.db").write_bytes(content)

    healed = StudyFile(SweepFolder(killed))
    assert "using the previous good one" in healed.heal()
    assert known_trials(healed) == 3
    assert healed.heal() == ""


def test_the_copy_is_whole_while_the_study_is_written(tmp_path):
    file = studied(tmp_path)
    file.keep()
    studied(tmp_path, trials=2)
    file.keep()
    assert sorted(path.name for path in tmp_path.glob("study.db.*")) == ["study.db.good"]
    restored = tmp_path / "restored"
    restored.mkdir()
    shutil.copy(tmp_path / "study.db.good", restored / "study.db")
    assert known_trials(StudyFile(SweepFolder(restored))) == 5


def test_a_killed_maker_of_a_study_leaves_no_half_of_it(tmp_path, monkeypatch):
    def killed(*_, **__):
        (tmp_path / "study.new").write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.undo()  # here the tables are made, not copied
    with monkeypatch.context() as patch:
        patch.setattr(optuna.storages, "RDBStorage", killed)
        with pytest.raises(KeyboardInterrupt):
            StudyFile(SweepFolder(tmp_path)).storage()
    assert not (tmp_path / "study.db").exists()
    assert known_trials(studied(tmp_path)) == 3


def test_the_log_of_a_damaged_study_is_not_replayed_onto_the_good_copy(tmp_path):
    """A killed driver leaves a write-ahead log, which belongs to the damaged file."""
    file = studied(tmp_path)
    file.keep()
    file.path.write_bytes(b"x" * 4096)
    log = tmp_path / "study.db-wal"
    log.write_bytes(b"a log of the damaged file")
    assert "using the previous good one" in StudyFile(SweepFolder(tmp_path)).heal()
    assert not log.exists()
    assert known_trials(file) == 3


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
connection.execute("CREATE TABLE of_a_holder (x)")
connection.execute("COMMIT")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held_study(tmp_path):
    """A healthy study with an older copy, held by another process for itself alone."""
    file = studied(tmp_path, closed=True)
    file.keep()
    studied(tmp_path, trials=2, closed=True)
    line = [sys.executable, "-c", HOLDER, str(file.path)]
    holder = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    yield file, holder
    holder.kill()
    holder.communicate()


@pytest.mark.usefixtures("held_study")
@pytest.mark.parametrize("ask", ["heal", "damage", "snapshot", "storage"])
def test_a_held_study_is_not_damaged(tmp_path, monkeypatch, ask):
    monkeypatch.setattr("search.study_file._PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("search.study_file._PAUSE_SECONDS", 0.05)
    said = []
    file = StudyFile(SweepFolder(tmp_path), said.append)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(SweepLockedError, match="locked by another process"):
        getattr(file, ask)()
    assert len(said) == 1
    assert "waiting up to" in said[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing put in its place"


def test_a_study_is_gone_on_with_when_its_holder_ends(tmp_path, held_study, monkeypatch):
    _, holder = held_study
    monkeypatch.setattr("search.study_file._PAUSE_SECONDS", 0.05)
    file = StudyFile(SweepFolder(tmp_path), lambda _: holder.kill())
    assert file.heal() == ""
    assert known_trials(file) == 5


def test_a_study_that_cannot_be_opened_is_not_damaged(tmp_path, monkeypatch):
    file = studied(tmp_path)
    file.keep()

    def unreadable(_file):
        raise PermissionError(13, "Permission denied", str(file.path))

    with monkeypatch.context() as patch:
        patch.setattr("search.study_file._reader", unreadable)
        with pytest.raises(OSError, match="Permission denied"):
            file.heal()
    assert not list(tmp_path.glob("*damaged*"))
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        file.heal()
    assert file.path.is_dir()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR_READ])
def test_an_operational_error_is_no_damage(tmp_path, monkeypatch, code):
    file = studied(tmp_path)
    file.keep()
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code

    def failing(_file):
        raise error

    monkeypatch.setattr("search.study_file._reader", failing)
    with pytest.raises(StorageError, match="disk I/O error"):
        file.heal()
    assert not list(tmp_path.glob("*damaged*"))


def test_a_missing_study_gives_way_to_the_good_copy(tmp_path):
    file = studied(tmp_path)
    file.keep()
    for path in tmp_path.glob("study.db*"):
        if path.name != "study.db.good":
            path.unlink()
    assert "it is missing" in file.heal()
    assert known_trials(file) == 3
    assert file.heal() == ""


def test_a_study_of_empty_tables_gives_way_to_the_good_copy(tmp_path):
    """What a look at an empty file with Optuna leaves."""
    file = studied(tmp_path)
    file.keep()
    for path in tmp_path.glob("study.db*"):
        if path.name != "study.db.good":
            path.unlink()
    file.storage().engine.dispose()
    assert "it knows 0 trials, its copy 3" in file.heal()
    assert known_trials(file) == 3
