"""A trial's state on disk: committed in one rename, verified when it is read.

A commit is a folder with `state.pt` and `manifest.json`, which is written last and holds the size
and sha256 of the state. After a power loss at any moment the previous commit is still whole.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from trainables.records import sync

_STATE, _MANIFEST = "state.pt", "manifest.json"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def commit(folder: Path, name: str, state: dict[str, Any], keep: int) -> None:
    """Write `state` as `folder/name`, then keep it and the `keep - 1` commits before it by name.

    Commits after it are removed too: they are those that were found damaged when the trial went
    back to an earlier one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{name}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    torch.save(state, draft / _STATE)
    sync(draft / _STATE)
    size, digest = (draft / _STATE).stat().st_size, _digest(draft / _STATE)
    (draft / _MANIFEST).write_text(json.dumps({"bytes": size, "sha256": digest}))
    sync(draft / _MANIFEST)
    target = folder / name
    if target.exists():  # a damaged commit of the same name
        shutil.rmtree(target)
    draft.rename(target)
    sync(folder)
    names = commits(folder)
    end = names.index(name) + 1
    for dropped in names[: max(0, end - keep)] + names[end:]:
        shutil.rmtree(folder / dropped)


def trim(folder: Path, keep: int) -> None:
    """Keep the newest `keep` commits in `folder`, and nothing else."""
    if not folder.is_dir():
        return
    kept = commits(folder)[-keep:] if keep else []
    for path in list(folder.iterdir()):
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


def commits(folder: Path) -> list[str]:
    """The names of the commits in `folder`, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def damage(path: Path) -> str | None:
    """Why the commit at `path` cannot be trusted, or None."""
    try:
        manifest = json.loads((path / _MANIFEST).read_text())
        if (path / _STATE).stat().st_size != manifest["bytes"]:
            return f"{path}: not the {manifest['bytes']} bytes that were written"
        if _digest(path / _STATE) != manifest["sha256"]:
            return f"{path}: its sha256 is not the one that was written"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{path}: unreadable ({error})"
    return None


def load(path: Path) -> dict[str, Any]:
    """The state of one commit, on the CPU. It holds tensors and plain values only."""
    return torch.load(path / _STATE, map_location="cpu", weights_only=True)


def latest(folder: Path) -> tuple[str | None, list[str]]:
    """The newest commit that is whole, or None, and what is wrong with newer ones."""
    damages = []
    for name in reversed(commits(folder)):
        if (wrong := damage(folder / name)) is None:
            return name, damages
        damages.append(wrong)
    return None, damages
