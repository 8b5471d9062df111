"""Words that would mislead a reader stay out of the project."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# the papers have names, `galaxy` and `wttf`; a seed is what random numbers come from
MISLEADING = re.compile(
    r"\b(first|second|both|the) seeds?('s)? (paper|document|table|column|run|ViT)"
)
OLD_NAMES = re.compile(r"\b(first|second) seed('s)?\b|\bthe supplement\b", re.IGNORECASE)


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml", "*.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [
        ROOT / name for name in listed if Path(name).name not in ("test_words.py", "CHANGELOG.md")
    ]


@pytest.mark.parametrize("words", [MISLEADING, OLD_NAMES], ids=["seeds", "old names"])
def test_papers_are_called_by_their_names(words):
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files()
        if (match := words.search(path.read_text()))
    ]
    assert not found
