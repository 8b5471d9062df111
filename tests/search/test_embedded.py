"""The folder of an embedded Ray: short, its owner's only, and gone afterwards."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from search import embedded
from trainables.errors import ResourceError


@pytest.fixture
def temporary(monkeypatch):
    """Sets TMPDIR, for Python has looked already, and forgets the other places."""

    def to(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        return folder

    monkeypatch.setattr(embedded, "_SHORT", ())
    return to


def test_it_is_for_its_owner_and_goes(temporary):
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        temporary(Path(short))
        with embedded.folder() as folder:
            assert folder.parent == Path(short)
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert not folder.exists()


@pytest.mark.parametrize("letters", [74, 120, 250])
def test_a_long_tmpdir_is_left_for_a_short_one(temporary, monkeypatch, tmp_path, letters):
    temporary(tmp_path / ("n" * letters))
    with pytest.raises(ResourceError, match="TMPDIR"), embedded.folder():
        pass
    monkeypatch.setattr(embedded, "_SHORT", ("/nowhere", "/tmp"))
    with embedded.folder() as folder:
        sockets = folder / "session_2026-01-31_12-00-00_123456_1234567" / "sockets"
        assert len(os.fsencode(sockets / "plasma_store")) <= 107


def test_what_a_killed_driver_left_is_cleared(temporary):
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        temporary(Path(short))
        left = Path(short) / "search-ray-999999999"
        left.mkdir()
        with embedded.folder():
            assert not left.exists()


def test_its_token_is_in_no_file(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    embedded.bring_token()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert not list(tmp_path.iterdir())


def test_the_token_of_clusters_is_hidden(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    embedded.hide_token()  # none there is no error
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("t")
    token.chmod(0o644)
    embedded.hide_token()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
