"""Spaces out of TOML and JSON files."""

import json
import re
from pathlib import Path

import pytest

from spaces.conditions import In
from spaces.literal import load as load_python
from spaces.rules import AtMost, Divides
from spaces.space import Choice, Integer, Real, Space
from spaces.table import load
from spaces.wttf import TRAINING

TEXT = """
model = "linformer"
include = ["TRAINING"]
params.depth = {low = 4, high = 8, step = 2}
params.lr = {low = 1e-4, high = 1, log = true}
params.heads = [2, 4]
params.kind = ["a", "b"]
fixed = {grid = 7}
rules = [{divides = ["heads", "dim"]}, {divides = [32, "image_size"]}, {at_most = ["a", "tokens"]}]
conditions.kind = {heads = [2]}
"""
SPACE = Space(
    model="linformer",
    params={
        **TRAINING,
        "depth": Integer(4, 8, 2),
        "lr": Real(1e-4, 1, log=True),
        "heads": Choice((2, 4)),
        "kind": Choice(("a", "b")),
    },
    fixed={"grid": 7},
    rules=(Divides("heads", "dim"), Divides(32, "image_size"), AtMost("a", "tokens")),
    conditions={"kind": (In("heads", (2,)),)},
)


def test_a_toml_file(tmp_path):
    (tmp_path / "mine.toml").write_text(TEXT)
    assert load(tmp_path / "mine.toml") == SPACE


def test_a_json_file(tmp_path):
    document = {
        "params": {"depth": {"low": 1, "high": 2}, "heads": [1, 2]},
        "conditions": {"heads": {"depth": [2]}},
    }
    (tmp_path / "mine.json").write_text(json.dumps(document))
    assert load(tmp_path / "mine.json").size == 1 + 2


def test_the_two_forms_of_the_guide_are_the_same_space(tmp_path):
    guide = (Path(__file__).parents[2] / "docs/search.md").read_text()
    python = next(
        block
        for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
        if "SPACE = " in block
    )
    (toml,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "a.py").write_text(python)
    (tmp_path / "a.toml").write_text(toml)
    assert load(tmp_path / "a.toml") == load_python(tmp_path / "a.py")


def test_all_mistakes_are_told_with_their_places(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("""
parms = {}
include = ["REST"]
params.depth = {low = 5, high = 4}
params.dim = 3
params.lr = {low = 1e-4, high = 1, lag = true}
rules = [{divides = ["heads"]}]
conditions.depth = {heads = 2}
""")
    with pytest.raises(ValueError, match="mine") as caught:
        load(file)
    told = [line.removeprefix(f"{file}: ") for line in str(caught.value).splitlines()]
    assert "a condition lists the values" in told[-1]
    places = ["parms", "include", "params.depth", "params.dim", "params.lr", "rules.1"]
    assert [line.partition(": ")[0] for line in told] == [*places, "conditions.depth"]
    assert "did you mean 'params'?" in told[0]
    assert "range 5 to 4 is empty" in told[2]


@pytest.mark.parametrize("text", ["params = ", "[]", "3", '{"fixed": {"a": [1]}}', '{"params": 3}'])
def test_files_that_hold_no_space(tmp_path, text):
    for suffix in ("json", "toml"):
        file = tmp_path / f"mine.{suffix}"
        file.write_text(text)
        with pytest.raises(ValueError, match="mine"):
            load(file)
    with pytest.raises(ValueError, match="No such file"):
        load(tmp_path / "none.toml")
