"""Small files that survive a crash."""

import pytest

from trainables import records


def test_what_is_written_beside_takes_the_place_at_the_end(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with records.beside(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path], "no draft is left"


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "notes.txt"
    records.replace(path, "old")

    def fail() -> None:
        with records.beside(path) as draft:
            draft.write_text("half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        fail()
    assert path.read_text() == "old"
    records.replace(path, "ñew")
    assert path.read_text(encoding="utf-8") == "ñew"


def test_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    assert records.read_lines(path) == []
    for number in range(2):
        records.append_line(path, {"number": number}, sync=True)
    with path.open("a") as file:
        file.write('{"numb')
    assert records.read_lines(path) == [{"number": 0}, {"number": 1}]
