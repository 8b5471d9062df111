"""The page of environment variables names all that the project reads or sets, and no other."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOUSES = ("spaces", "trainables", "search", "reports")
VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
WITHOUT_UNDERSCORE = {"PYTHONPATH"}
OTHERS = {"ILSVRC2012_ID"}  # a column of ImageNet's table of labels
OTHERS |= {"BAD_REQUEST", "INVALID_STATE"}  # error codes of MLflow's
OTHERS |= {"IMAGE_SIZE", "TRAINING_CONDITIONS"}  # of a space in a file
OTHERS |= {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}


def listed() -> list[str]:
    text = (ROOT / "docs" / "environment.md").read_text()
    return re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)


@cache
def spelled(path: Path) -> set[str]:
    """The texts of a file that can be nothing but names of variables."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    attributes = {
        id(argument)
        for node in nodes
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr"
        for argument in node.args
    }
    constants = [n for n in nodes if isinstance(n, ast.Constant) and id(n) not in attributes]
    texts = {n.value for n in constants if isinstance(n.value, str)}
    return {text for text in texts if VARIABLE.fullmatch(text)} | texts & WITHOUT_UNDERSCORE


def test_the_page_and_the_code_agree():
    names = listed()
    assert len(names) == len(set(names)), "each is on one table"
    found = set()
    for house in HOUSES:
        for path in (ROOT / house).rglob("*.py"):
            found |= spelled(path)
    assert found - OTHERS == set(names)


def test_each_of_ours_is_read_in_one_place():
    ours = {name for name in listed() if name.startswith("SEARCH_")} | {"MLFLOW_TRACKING_URI"}
    paths = [path for house in HOUSES for path in (ROOT / house).rglob("*.py")]
    for name in ours:
        assert len([path for path in paths if name in spelled(path)]) == 1, name


def test_values_that_are_set_are_those_of_the_page():
    from search.cluster import _SETTINGS

    text = (ROOT / "docs" / "environment.md").read_text()
    for name, value in _SETTINGS.items():
        assert f"| `{name}` | `{value}` |" in text


def test_variables_of_the_cluster_are_on_the_page():
    text = (ROOT / "cluster.yaml").read_text()
    assert set(re.findall(r"SEARCH_\w+", text)) <= set(listed())
