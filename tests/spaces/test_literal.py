"""Spaces out of files: what they hold is read, nothing of them is run."""

import json
from pathlib import Path

import pytest

import spaces
from spaces.document import changes, read, read_domain, written, written_domain
from spaces.literal import load
from spaces.space import Choice, Integer, Real, Space

FOLDER = Path(spaces.__file__).parent


@pytest.mark.parametrize("name", spaces.names())
def test_the_file_of_every_variant_is_read_as_data(name):
    assert load(FOLDER / f"{name}.py") == spaces.load(name)


@pytest.mark.parametrize("name", spaces.names())
def test_a_document_is_json_and_says_the_whole_space(name):
    space = spaces.load(name)
    document = json.loads(json.dumps(written(space)))
    assert document == written(space)
    assert read(document) == space


@pytest.mark.parametrize("domain", [Integer(1, 9, 2), Real(1e-4, 1, log=True), Choice((1, "a"))])
def test_domains_as_documents(domain):
    assert read_domain(json.loads(json.dumps(written_domain(domain)))) == domain


@pytest.mark.parametrize("document", [{}, {"kind": "Divides"}, {"kind": "os"}, {"kind": "Real"}])
def test_what_is_no_domain_is_refused(document):
    with pytest.raises(ValueError, match="no document of a domain"):
        read_domain(document)


def test_changes_name_the_part():
    one = written(Space(params={"lr": Real(0, 1), "depth": Integer(1, 2)}))
    other = written(Space(params={"lr": Real(0, 1), "depth": Integer(1, 3)}, fixed={"a": 1}))
    depth, fixed = changes(one, other)[1], changes(one, other)[0]
    assert fixed == "fixed.a: was None, now 1"
    assert depth.startswith("params.depth: was {'kind': 'Integer', 'low': 1, 'high': 2")
    assert changes(one, one) == []


def test_imports_say_what_names_are_and_files_may_name_values(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text('''"""Mine."""

import os
from spaces.space import Integer as Whole, Space
from somewhere import TRAINING as REST

_DEPTH: object = Whole(-1, 4)
_MORE = {"depth": _DEPTH, "lr": REST["lr"]}
SPACE = Space(params={**_MORE, "heads": Choice([1, 2])}, fixed={"dropout": 0.1})
''')
    assert load(file) == Space(
        params={
            "depth": Integer(-1, 4),
            "lr": Real(1e-5, 3e-3, log=True),
            "heads": Choice((1, 2)),
        },
        fixed={"dropout": 0.1},
    )


def test_all_mistakes_are_told_with_their_lines_and_nothing_is_run(tmp_path):
    file, trace = tmp_path / "mine.py", tmp_path / "trace"
    file.write_text(f"""open({str(trace)!r}, "w")
for i in range(3):
    pass
_A = __import__("os").system("true")
_B = Intger(1, 2)
SPACE = Space(
    params={{
        "depth": Integer(5, 4),
        "lr": Real(0, 1, log=True),
        "a": _A,
        "width": [i for i in range(3)],
        "dim": Integr,
    }},
    rules=(Divides("heads"),),
)
""")
    with pytest.raises(ValueError, match="mine") as caught:
        load(file)
    told = [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()]
    assert [line.partition(":")[0] for line in told] == [
        "1",
        "2",
        "4",
        "5",
        "8",
        "9",
        "11",
        "12",
        "14",
    ]
    assert "only gives names to values" in told[0]
    assert "is not read" in told[2]
    assert "did you mean 'Integer'?" in told[3]
    assert "range 5 to 4 is empty" in told[4]
    assert "must begin above 0" in told[5]
    assert "did you mean 'Integer'?" in told[7]
    assert "Divides" in told[8]
    assert not trace.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "SPACE must be a Space, and there is none"),
        ("SPACE = 3", "SPACE must be a Space, and it is 3"),
        ("SPACE = Space(", ":1: "),
        ("SPACE = " + "(" * 5000, "mine.py"),
        ("SPACE = Space(params={1: Real(0, 1)})", ":1: a parameter's name is a text, given 1"),
        ("SPACE = Space(params={**3})", r":1: \*\* needs a dictionary"),
        ("SPACE = Space(width=3)", ":1: Space: "),
    ],
)
def test_files_that_hold_no_space(tmp_path, text, said):
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        load(file)


def test_a_file_that_there_is_not(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        load(tmp_path / "none.py")
