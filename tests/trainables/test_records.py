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
    assert records.scan(path).sound == []
    for number in range(2):
        records.append_line(path, {"number": number}, sync=True)
    with path.open("a") as file:
        file.write('{"numb')
    assert records.scan(path).sound == [{"number": 0}, {"number": 1}]


DAMAGES = {
    "a changed number": lambda line: line.replace(b'"number": 1', b'"number": 7'),
    "no JSON": lambda line: line[:-4] + b"\n",
    "no text": lambda line: b"\xff\xfe" + line[2:],
    "no object": lambda _: b"17\n",
    "nothing": lambda _: b"\n",
    "a changed digest": lambda line: line[:-4] + b'~"}\n',
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_line_is_named_and_hides_no_other(tmp_path, damage):
    path = tmp_path / "log.jsonl"
    records.replace_lines(path, ({"number": number} for number in range(3)))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + damage(lines[1]) + lines[2])
    found = records.scan(path)
    assert found.sound == [{"number": 0}, {"number": 2}]
    (said,) = found.damages
    assert f"{path}, line 2 is damaged" in said


def test_lines_of_earlier_versions_have_no_digest(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"number": 0}\n')
    assert records.scan(path) == ([{"number": 0}], [], False)
    records.append_line(path, {"number": 1}, sync=False)
    assert records.scan(path) == ([{"number": 0}, {"number": 1}], [], False)
