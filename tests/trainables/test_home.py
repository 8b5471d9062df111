"""Where the home is and what lies where in it, for every command."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from trainables import home
from trainables.data.cache import default_cache_dir
from trainables.errors import StorageError
from trainables.home import Home


@pytest.mark.parametrize("said", [None, ""])
def test_without_a_word_it_is_where_the_command_is_run(monkeypatch, said):
    monkeypatch.delenv("SEARCH_HOME", raising=False)
    if said is not None:
        monkeypatch.setenv("SEARCH_HOME", said)
    assert home.default() == Home(Path("sweeps"))


def test_the_environment_may_say_where(monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCH_HOME", str(tmp_path))
    assert home.default() == Home(tmp_path)


def test_names_that_are_on_disks_already(tmp_path):
    found = Home(tmp_path)
    places = (found.data, found.reports, found.mlflow, found.artifacts, found.ui_log)
    names = ["data", "reports", "mlflow.db", "mlflow-artifacts", "ui.log"]
    assert list(places) == [tmp_path / name for name in names]
    assert str(found) == str(tmp_path)


def test_a_home_is_made(tmp_path):
    Home(tmp_path / "a" / "b").prepare()
    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written .*--home or SEARCH_HOME"):
        Home(tmp_path / "file").prepare()


def test_a_new_home_is_for_its_owner_only(tmp_path):
    Home(tmp_path / "a" / "b").prepare()
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_home_that_is_shared_stays_so(tmp_path):
    (tmp_path / "b").mkdir(mode=0o770)
    before = (tmp_path / "b").stat().st_mode
    Home(tmp_path / "b").prepare()
    assert (tmp_path / "b").stat().st_mode == before


@pytest.mark.parametrize("said", ["/dev/null/nobody", "/nowhere"])
def test_a_user_without_a_home_gets_one_of_his_own(monkeypatch, tmp_path, said):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", said)
    monkeypatch.delenv("USER", raising=False)
    monkeypatch.delenv("SEARCH_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    home.replace_missing_home()
    assert Path.home().parent == tmp_path
    assert stat.S_IMODE(Path.home().stat().st_mode) == 0o700
    assert default_cache_dir().is_relative_to(tmp_path)


def test_a_home_that_is_there_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    home.replace_missing_home()
    assert Path.home() == tmp_path


def test_a_temporary_folder_of_somebody_else_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    home.own_temporary().rmdir()
    (tmp_path / f"{home.FOLDER}-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="somebody else's"):
        home.own_temporary()
