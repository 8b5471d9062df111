"""Where the home is, for every command."""

from pathlib import Path

import pytest

from trainables import home


@pytest.mark.parametrize("said", [None, ""])
def test_without_a_word_it_is_where_the_command_is_run(monkeypatch, said):
    monkeypatch.delenv("SEARCH_HOME", raising=False)
    if said is not None:
        monkeypatch.setenv("SEARCH_HOME", said)
    assert home.default() == Path("sweeps")


def test_the_environment_may_say_where(monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCH_HOME", str(tmp_path))
    assert home.default() == tmp_path
    assert home.data(home.default()) == tmp_path / "data"
