"""What the pages say is true: links, paths, the file tree, the commands, the errors."""

import ast
import importlib
import importlib.util
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

import search
import spaces
from search import measure_request
from search.options import parser
from trainables import fields

ROOT = Path(__file__).parents[1]
DOCS = tuple(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))
PAGES = ("README.md", "CONTRIBUTING.md", *DOCS)
README = (ROOT / "README.md").read_text()
MKDOCS = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
HOUSES = ("search", "spaces", "trainables", "reports")


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
        place = ROOT / page if link.startswith("#") else (ROOT / page).parent / link.split("#")[0]
        assert place.exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_paths_lead_somewhere(page):
    """Those in backticks; NAME and SWEEP stand for what a reader will have."""
    tops = "|".join((*HOUSES, "docs", "examples", "tests"))
    found = re.findall(rf"`((?:{tops})/[\w/.-]*)`", (ROOT / page).read_text())
    meant = [path for path in found if not re.search("NAME|SWEEP", path)]
    assert not [path for path in meant if not (ROOT / path).exists()]


def test_every_page_is_in_the_navigation():
    def pages(part):
        if isinstance(part, str):
            return {f"docs/{part}"}
        return set().union(*map(pages, part.values() if isinstance(part, dict) else part))

    listed = pages(MKDOCS["nav"])
    assert set(DOCS) <= listed
    assert all((ROOT / path).exists() for path in listed)


@pytest.mark.parametrize("page", PAGES)
def test_modules_of_commands_exist(page):
    found = [command.split()[2] for command in commands(page) if command.startswith("python -m ")]
    assert found or page != "README.md"
    for name in found:
        module = importlib.import_module(name)
        assert hasattr(module, "main") or importlib.util.find_spec(f"{name}.__main__"), name


def sweeps() -> list[str]:
    found = [c for page in PAGES for c in commands(page) if "search.run " in c]
    return sorted({command for command in found if "--list" not in command})


@pytest.mark.parametrize("command", sweeps())
def test_sweeps_of_the_pages_parse(command):
    given = parser().parse_args(shlex.split(command)[3:])
    assert fields.assignments(given.settings) is not None


def measurings() -> list[str]:
    found = [c for page in PAGES for c in commands(page) if "search.measure " in c]
    return sorted({command for command in found if "--model" in command})


@pytest.mark.parametrize("command", measurings())
def test_measurings_of_the_pages_can_be_done(command, tmp_path):
    given = measure_request.parser("").parse_args(shlex.split(command)[3:])
    given.home = tmp_path
    _, request = measure_request.read(given)
    assert request is not None
    assert request.models


def said() -> str:
    """Every text of the code, `…` for what a formatted one puts in, a line each."""
    texts = []
    for path in (path for house in HOUSES for path in (ROOT / house).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_explained_errors_are_those_of_the_code():
    explained = re.findall(r"^### `(.+)`$", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    known = said()
    assert len(explained) > 15
    assert not [message for message in explained if message not in known]


def test_the_glossary_has_its_words_in_order_of_the_story():
    text = (ROOT / "docs/glossary.md").read_text()
    assert re.findall(r"^(\w+)\n:   ", text, re.MULTILINE) == [
        *("sweep", "plan", "study", "trial", "record", "lane", "crew", "team", "stage"),
        *("recipe", "pace", "subject", "setting", "conditions"),
    ]


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == search.__version__
    assert f"## [{search.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_variant_is_named_in_its_family():
    text = (ROOT / "docs/variants.md").read_text()
    rows = re.findall(r"^\| ([A-Z][\w -]+) \| (`.*`) \|$", text, re.MULTILINE)
    named = {name: family for family, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert named == {name: spaces.load(name).family for name in spaces.names()}


def tree() -> list[str]:
    """The paths of the file tree, a folder per indented block."""
    block = re.search(r"# Files\n\n```\n(.*?)```", (ROOT / "docs/files.md").read_text(), re.DOTALL)
    assert block, "the page has a file tree"
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
    lines = [line for line in README.splitlines() if "&& pytest" in line]
    assert len(lines) == 1
    assert "grep -m 1 '&& pytest' README.md" in (ROOT / ".ci/run").read_text()


def test_numbers_of_the_readme_are_those_of_the_quick_budget():
    from search.plan import FULL, QUICK

    text = " ".join(README.split())
    assert (
        f"{QUICK.trials} trials of at most {QUICK.epochs} epochs at {QUICK.image_size} px" in text
    )
    assert f"at most {QUICK.limits['gflops']} GFLOPs" in text
    assert f"{FULL.trials} trials of at most {FULL.epochs} epochs at {FULL.image_size} px" in text


def test_the_first_pages_are_short():
    assert len(README.splitlines()) <= 150
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
