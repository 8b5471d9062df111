"""What the pages say is true: links, the file tree, the commands."""

import importlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

import spaces
from search.request import parser
from trainables import fields

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md")
README = (ROOT / "README.md").read_text()


def commands(page: str) -> list[str]:
    """The lines of a page's shell blocks, without comments; `&&` separates commands."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text())
    for link in links:
        assert not link.startswith("http"), "pages work offline"
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_modules_of_commands_exist(page):
    found = [c for c in commands(page) if c.startswith("python -m ")]
    assert found or page == "CONTRIBUTING.md"
    for command in found:
        name = command.split()[2]
        module = importlib.import_module(name)
        assert hasattr(module, "main") or Path(str(module.__file__)).name == "__init__.py", command


def sweeps() -> list[str]:
    found = [command for command in commands("README.md") if "search.run " in command]
    return [command for command in found if "--list" not in command]


@pytest.mark.parametrize("command", sweeps())
def test_sweeps_of_the_readme_parse(command):
    given = parser().parse_args(shlex.split(command)[3:])
    assert fields.assignments(given.settings) is not None


def measurings() -> list[str]:
    found = [command for command in commands("README.md") if "search.measure " in command]
    return [command for command in found if "--model" in command]


@pytest.mark.parametrize("command", measurings())
def test_measurings_of_the_readme_can_be_done(command, tmp_path):
    from search import measure_request

    given = measure_request.parser("").parse_args(shlex.split(command)[3:])
    given.home = tmp_path
    _, request = measure_request.read(given)
    assert request is not None
    assert request.models


def test_every_variant_is_named_in_its_family():
    rows = re.findall(r"^\| ([A-Z][\w -]+) \| (`.*`) \|$", README, re.MULTILINE)
    named = {name: family for family, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert named == {name: spaces.load(name).family for name in spaces.names()}


def tree() -> list[str]:
    """The paths of the README's file tree, a folder per indented block."""
    block = re.search(r"## Files\n\n```\n(.*?)```", README, re.DOTALL)
    assert block, "the README has a file tree"
    paths, folder = [], ""
    for line in block[1].splitlines():
        names = re.findall(r"[\w.]+\.(?:py|yaml|txt)|[\w/]+/", line.split("  ")[0] or line.strip())
        if not line.startswith(" "):
            folder = names[0] if names[0].endswith("/") else ""
            paths += names
        else:
            entry = re.match(r"  ((?:[\w.]+(?:\.py|/) ?)+)", line)
            paths += [folder + name for name in (entry[1].split() if entry else [])]
    return paths


def test_the_file_tree_is_true():
    paths = tree()
    assert len(paths) > 30
    for path in paths:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("folder", ["spaces", "trainables", "search"])
def test_the_file_tree_is_whole(folder):
    listed = {path for path in tree() if path.startswith(f"{folder}/")}
    silent = {"__init__", *spaces.names()}  # a new variant edits no page
    there = {f"{folder}/{p.name}" for p in (ROOT / folder).glob("*.py") if p.stem not in silent}
    assert there <= listed, there - listed


def test_ci_runs_the_test_command_of_the_readme():
    lines = [line for line in README.splitlines() if line.endswith("&& pytest")]
    assert len(lines) == 1
    assert "grep -m 1 '&& pytest$' README.md" in (ROOT / ".ci/run").read_text()


def test_numbers_of_the_readme_are_those_of_the_quick_budget():
    from search.plan import FULL, QUICK

    text = " ".join(README.split())
    assert (
        f"{QUICK.trials} trials of at most {QUICK.epochs} epochs at {QUICK.image_size} px" in text
    )
    assert f"at most {QUICK.max_gflops} GFLOPs" in text
    assert f"{FULL.trials} trials of at most {FULL.epochs} epochs at {FULL.image_size} px" in text


def test_contributing_is_short():
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 100


def test_no_address_of_a_package_registry_and_no_lock_file():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    assert not [name for name in listed if name.endswith(".lock")]
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", pin) for pin in pins)


def test_cluster_yaml_passes_rays_offline_checks():
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    validate_config(prepare_config(config))


def test_cluster_yaml_opens_nothing():
    text = (ROOT / "cluster.yaml").read_text()
    config = yaml.safe_load(text)
    rules = config["provider"]["security_group"]["IpPermissions"]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in rules] == [(22, 22)]
    assert "0.0.0.0" not in text
    for start in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert any("RAY_AUTH_MODE=token" in command for command in config[start])
    assert any("--dashboard-host=127.0.0.1" in c for c in config["head_start_ray_commands"])
