"""Private parts of other libraries stand in one list, and are still there."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HOUSES = ("spaces", "trainables", "search", "reports")
ROW = re.compile(r"^\| `([\w.]+)` \| `([\w./]+\.py)` \| .+ \|$", re.MULTILINE)
LISTED = ROW.findall((ROOT / "CONTRIBUTING.md").read_text())


def found(name: str) -> Any:
    """What a dotted name stands for."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            value = getattr(value, part)
        return value
    raise AssertionError(f"no module of {name}")


@pytest.mark.parametrize("name", [name for name, _ in LISTED])
def test_the_listed_parts_are_there(name):
    pytest.importorskip(name.partition(".")[0])
    owner, _, own = name.rpartition(".")
    if own in ("_trial_id", "_study_id", "_storage"):  # set by their constructors
        assert own in importlib.import_module("inspect").getsource(found(owner))
    else:
        assert found(name) is not None


@pytest.mark.parametrize(("name", "place"), LISTED)
def test_they_are_used_where_the_list_says(name, place):
    assert name.rpartition(".")[2] in (ROOT / place).read_text()


def imported_private_parts() -> set[tuple[str, str]]:
    parts = set()
    for house in HOUSES:
        for path in (ROOT / house).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.ImportFrom) or not node.module:
                    continue
                if node.module.partition(".")[0] in HOUSES:
                    continue
                for alias in node.names:
                    name = f"{node.module}.{alias.name}"
                    if re.search(r"(^|\.)_[a-z]|\._[A-Z]", name) and node.module != "__future__":
                        parts.add((name, str(path.relative_to(ROOT))))
    return parts


def test_nothing_private_is_imported_beside_the_list():
    assert imported_private_parts() <= set(LISTED)
