"""The house: which way imports point, what files are called, how long they are."""

import ast
from pathlib import Path

import pytest

import spaces
from trainables import models

ROOT = Path(__file__).parents[1]
HOUSES = ("spaces", "trainables", "search", "reports")
# what every command needs and knows nothing of training: metrics' names, exit codes, the home
SHARED = ("metrics", "errors", "home")
# trainables reads the published tables, which are data, and the spelling help beside the spaces
ALLOWED = {
    "spaces": ("spaces",),
    "trainables": ("trainables", "spaces.published", "spaces.space"),
    "search": ("search", "spaces", "trainables", "reports.build", "reports.mlflow_contract"),
    "reports": ("reports", "spaces", *(f"trainables.{name}" for name in SHARED)),
}
DRAWERS = {"util", "utils", "common", "helper", "helpers", "misc"}
# longer than 250 lines, each for a reason
LONG: dict[str, str] = {}


def sources(house: str) -> list[Path]:
    return sorted((ROOT / house).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, inside functions too; names of `from` imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("house", HOUSES)
def test_imports_point_one_way(house):
    for path in sources(house):
        ours = {module for module in imported(path) if within(module, HOUSES)}
        wrong = {module for module in ours if not within(module, ALLOWED[house])}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_only_the_lane_knows_ray():
    users = {p.name for p in sources("trainables") if any(within(m, ("ray",)) for m in imported(p))}
    assert users == {"lane.py"}


@pytest.mark.parametrize("name", ["metrics.py", "fields.py", "records.py", "errors.py", "home.py"])
def test_light_modules_import_no_torch(name):
    assert not any(within(m, ("torch",)) for m in imported(ROOT / "trainables" / name))


def test_every_model_has_a_space_and_every_space_a_model():
    assert {spaces.load(name).model for name in spaces.names()} == set(models.names())


@pytest.mark.parametrize("name", spaces.names())
def test_a_space_is_a_literal(name):
    tree = ast.parse((ROOT / "spaces" / f"{name}.py").read_text())
    logic = (ast.FunctionDef, ast.If, ast.For, ast.While, ast.Lambda, ast.ListComp, ast.DictComp)
    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]


@pytest.mark.parametrize("house", HOUSES)
def test_files_are_named_for_what_they_hold_and_are_short(house):
    for path in sources(house):
        name = str(path.relative_to(ROOT))
        assert path.stem not in DRAWERS, name
        lines = len(path.read_text().splitlines())
        assert lines <= 250 or name in LONG, f"{name} has {lines} lines"


@pytest.mark.parametrize("house", HOUSES)
def test_every_package_is_installed(house):
    listed = (ROOT / "pyproject.toml").read_text()
    for path in sources(house):
        package = ".".join(path.parent.relative_to(ROOT).parts)
        assert f'"{package}"' in listed, f"{package} is missing in pyproject.toml"
