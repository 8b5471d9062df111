"""The house: which way imports point, what files are called, how long they are."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import spaces
from trainables import models

ROOT = Path(__file__).parents[1]
HOUSES = ("spaces", "trainables", "search", "reports")
# what every command needs and knows nothing of training: metrics' names, exit codes, places
SHARED = ("metrics", "errors", "home", "addresses")
# trainables reads the published tables, which are data, and the spelling help beside the spaces
ALLOWED = {
    "spaces": ("spaces",),
    "trainables": ("trainables", "spaces.published", "spaces.space"),
    "search": (
        *("search", "spaces", "trainables"),
        *("reports.build", "reports.mlflow_contract", "reports.pareto"),
    ),
    "reports": ("reports", "spaces", *(f"trainables.{name}" for name in SHARED)),
}
DRAWERS = {"util", "utils", "common", "helper", "helpers", "misc"}
# longer than 250 lines, each for a reason
LONG: dict[str, str] = {}


def sources(house: str) -> list[Path]:
    return sorted((ROOT / house).rglob("*.py"))


@cache
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


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    return {module_of(path): path for house in HOUSES for path in sources(house)}


@cache
def imports() -> dict[str, set[str]]:
    """What each of our modules imports of the others, anywhere in its file.

    `from package import name` imports the module `package.name` if there is one, else the package.
    """
    known, graph = modules(), {}
    for module, path in known.items():
        graph[module] = set()
        for name in imported(path):
            itself_and_above = (name.rsplit(".", cut)[0] for cut in range(name.count(".") + 1))
            graph[module] |= {next((m for m in itself_and_above if m in known), module)} - {module}
    return graph


def test_no_imports_run_in_a_circle():
    try:
        tuple(TopologicalSorter(imports()).static_order())
    except CycleError as error:
        pytest.fail(f"imports run in a circle: {' <- '.join(error.args[1])}")


def test_locks_of_files_have_one_place():
    users = {
        m for m, path in modules().items() if any(within(n, ("fcntl",)) for n in imported(path))
    }
    assert users == {"trainables.lock"}


IMPORTING = "trainables.data.importing"


def test_only_the_data_command_imports_images():
    users = {
        module
        for module, used in imports().items()
        if any(within(name, (IMPORTING,)) for name in used) and not within(module, (IMPORTING,))
    }
    assert users == {"trainables.data.__main__"}


def test_training_knows_no_trial_and_measures_nothing():
    above = ("trial", "stages", "lane", "mailbox", "checkpoint", "provenance", "efficiency")
    above += ("trial_log", "training_time", "__main__")
    for module, used in imports().items():
        if within(module, ("trainables.training",)):
            wrong = {m for m in used if within(m, tuple(f"trainables.{name}" for name in above))}
            assert not wrong, f"{module} imports {sorted(wrong)}"


# by design: the lane is Ray's side of a trial
NEEDS_MORE = {"trainables.lane"}
ABSENT = """
import importlib, sys
sys.modules |= dict.fromkeys(("ray", "optuna", "mlflow", "fvcore"))
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


@pytest.mark.slow
def test_trials_need_neither_ray_nor_optuna_nor_mlflow_nor_fvcore():
    """Every module of trainables is imported where these packages cannot be."""
    wanted = sorted(m for m in modules() if within(m, ("trainables",)) and m not in NEEDS_MORE)
    command = [sys.executable, "-c", ABSENT, *wanted]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["metrics.py", "fields.py", "records.py", "lock.py", "errors.py", "home.py"]
)
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
def test_the_tests_mirror_the_tree(house):
    for path in (ROOT / "tests" / house).rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        assert (ROOT / folder).is_dir(), f"{path.relative_to(ROOT)}: there is no {folder}"


@pytest.mark.parametrize("house", HOUSES)
def test_every_package_is_installed(house):
    listed = (ROOT / "pyproject.toml").read_text()
    for path in sources(house):
        package = ".".join(path.parent.relative_to(ROOT).parts)
        assert f'"{package}"' in listed, f"{package} is missing in pyproject.toml"
