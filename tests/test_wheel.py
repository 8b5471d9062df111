"""The wheel is whole, and works where there is no checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import search

ROOT = Path(__file__).parents[1]
PACKAGES = ("reports", "search", "spaces", "trainables")
BESIDE = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources, so that building leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in BESIDE:
        shutil.copy(ROOT / name, source / name)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[Path]:
    """The `bin` of a virtual environment with the wheel and, by their folder, what it needs.

    A `.pth` file in a folder that another one names is not read, so an editable installation of
    the checkout is not found there.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    _pip("--python", python, "install", "--no-deps", "--no-index", wheel)
    (packages,) = folder.glob("lib/python*/site-packages")
    needed = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (packages / "needed.pth").write_text("\n".join(needed))
    yield folder / "bin"
    shutil.rmtree(folder)


def _pip(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "pip", "-q", *map(str, arguments)], check=True)


def _run(command: list[object], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `command` in `folder` without the paths of this process."""
    unset = ("PYTHONPATH", "VIRTUAL_ENV", "SEARCH_HOME", "RAY_ADDRESS", "MLFLOW_TRACKING_URI")
    clean = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=clean, capture_output=True, text=True, check=False
    )


def _files(package: str) -> set[str]:
    """What of a package belongs into the wheel."""
    kinds = {".py", ".csv", ".toml", ".typed"}
    there = (ROOT / package).rglob("*")
    return {str(path.relative_to(ROOT)) for path in there if path.suffix in kinds}


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_has_every_file_of_the_packages(wheel, package):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith(f"{package}/")}
    assert packed == _files(package)
    assert f"{package}/py.typed" in packed


@pytest.mark.slow
def test_the_installed_version_is_that_of_the_code(environment, tmp_path):
    done = _run([environment / "vit-search", "--version"], tmp_path)
    assert done.stdout == f"vit-search {search.__version__}\n", done.stderr


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(1200)  # many minutes where the machine is busy
def test_the_main_job_runs_from_the_wheel_in_another_folder(environment, tmp_path):
    """`python -m search.run linformer`, made small; nothing is read from the checkout."""
    told = "import search, spaces, trainables, reports as r; print(search.__file__, r.__file__)"
    python = environment / "python"
    places = _run([python, "-c", told], tmp_path).stdout.split()
    assert len(places) == 2
    assert all(Path(place).is_relative_to(environment.parent) for place in places)
    small = ["--trials", 1, "--epochs", 1, "--image-size", 56, "--set", "depth=4", "dim=64"]
    done = _run([python, "-m", "search.run", "linformer", *small], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "sweeps" / "reports" / "linformer-digits-56px" / "report.html").exists()
    report = _run([environment / "vit-search", "report"], tmp_path)
    assert report.returncode == 0, report.stderr
