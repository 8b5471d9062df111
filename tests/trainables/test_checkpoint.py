"""Commits of a trial's state: whole or not there, verified, and no code is run by reading one."""

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainables import checkpoint


def state(epoch: int) -> dict:
    generator = torch.Generator().manual_seed(epoch)
    model = {"weight": torch.randn(3, 4, generator=generator), "steps": torch.tensor(epoch)}
    return {"model": model, "line": {"epoch": epoch, "lr": 0.1, "done": False, "reason": None}}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three epochs committed, of which two are kept."""
    for epoch in (1, 2, 3):
        checkpoint.commit(tmp_path / "checkpoints", f"epoch-{epoch}", state(epoch), keep=2)
    return tmp_path / "checkpoints"


def same(one: dict, two: dict) -> bool:
    torch.testing.assert_close(one["model"], two["model"], rtol=0, atol=0)
    return one["line"] == two["line"]


def test_round_trip(folder):
    assert checkpoint.latest(folder) == ("epoch-3", [])
    assert same(checkpoint.load(folder / "epoch-3"), state(3))
    assert same(checkpoint.load(folder / "epoch-2"), state(2))


def test_the_newest_are_kept(folder):
    assert checkpoint.commits(folder) == ["epoch-2", "epoch-3"]


def test_nothing_is_not_damage(tmp_path):
    assert checkpoint.latest(tmp_path / "absent") == (None, [])
    assert checkpoint.latest(tmp_path) == (None, [])


def truncate(commit: Path) -> None:
    path = commit / "state.pt"
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(commit: Path) -> None:
    path = commit / "state.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change_manifest(**entries: object) -> Callable[[Path], None]:
    def change(commit: Path) -> None:
        path = commit / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | entries))

    return change


DAMAGES = {
    "truncated": (truncate, "not the .* bytes that were written"),
    "empty": (lambda commit: (commit / "state.pt").write_bytes(b""), "not the .* bytes"),
    "bit flipped": (flip_a_bit, "sha256 is not the one that was written"),
    "no state": (lambda commit: (commit / "state.pt").unlink(), "unreadable"),
    "no manifest": (lambda commit: (commit / "manifest.json").unlink(), "unreadable"),
    "torn manifest": (lambda c: (c / "manifest.json").write_text('{"bytes": 1'), "unreadable"),
    "binary manifest": (lambda c: (c / "manifest.json").write_bytes(b"\xff\xfe"), "unreadable"),
    "other manifest": (lambda commit: (commit / "manifest.json").write_text("[]"), "unreadable"),
    "empty manifest": (lambda commit: (commit / "manifest.json").write_text("{}"), "unreadable"),
    "wrong sum": (change_manifest(sha256="0" * 64), "sha256"),
    "wrong size": (change_manifest(bytes=1), "not the 1 bytes"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_commit_is_passed_over_and_said(folder, kind):
    harm, message = DAMAGES[kind]
    assert checkpoint.damage(folder / "epoch-3") is None
    harm(folder / "epoch-3")
    name, (damage,) = checkpoint.latest(folder)
    assert name == "epoch-2"
    assert damage.startswith(f"{folder / 'epoch-3'}: ")
    assert re.search(message, damage)
    assert damage == checkpoint.damage(folder / "epoch-3")


def test_all_damaged(folder):
    for name in checkpoint.commits(folder):
        truncate(folder / name)
    name, damages = checkpoint.latest(folder)
    assert name is None
    assert [Path(damage.split(":")[0]).name for damage in damages] == ["epoch-3", "epoch-2"]


def test_a_damaged_commit_is_replaced_by_its_successor(folder):
    flip_a_bit(folder / "epoch-3")
    checkpoint.commit(folder, "epoch-3", state(33), keep=2)
    assert checkpoint.commits(folder) == ["epoch-2", "epoch-3"]
    assert same(checkpoint.load(folder / "epoch-3"), state(33))


def test_damaged_commits_do_not_push_out_sound_ones(folder):
    for name in checkpoint.commits(folder):
        truncate(folder / name)
    checkpoint.commit(folder, "epoch-1", state(1), keep=2)
    assert checkpoint.latest(folder) == ("epoch-1", [])
    checkpoint.commit(folder, "epoch-2", state(2), keep=2)
    assert checkpoint.commits(folder) == ["epoch-1", "epoch-2"]


@pytest.mark.parametrize("left", [("state.pt",), ("state.pt", "manifest.json")])
def test_a_leftover_draft_is_ignored_and_overwritten(folder, left):
    draft = folder / ".epoch-4.draft"
    draft.mkdir()
    for name in left:
        (draft / name).write_bytes(b"{}")
    assert checkpoint.latest(folder) == ("epoch-3", [])
    checkpoint.commit(folder, "epoch-4", state(4), keep=2)
    assert checkpoint.commits(folder) == ["epoch-3", "epoch-4"]
    assert not draft.exists()
    assert same(checkpoint.load(folder / "epoch-4"), state(4))


@pytest.mark.parametrize("moment", ["save", "fsync", "_digest", "rename"])
def test_failure_at_any_moment_leaves_the_earlier_commits(folder, monkeypatch, moment):
    def fail(*_):
        raise OSError("no space left")

    owner = {"save": torch, "fsync": os, "_digest": checkpoint, "rename": Path}[moment]
    with monkeypatch.context() as patch:
        patch.setattr(owner, moment, fail)
        with pytest.raises(OSError, match="no space left"):
            checkpoint.commit(folder, "epoch-4", state(4), keep=2)
    assert checkpoint.latest(folder) == ("epoch-3", [])
    assert checkpoint.commits(folder) == ["epoch-2", "epoch-3"]


class Hostile:
    """Unpickling it would make a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_hostile_pickle_is_refused_without_running_code(tmp_path):
    trap = tmp_path / "trap"
    checkpoint.commit(tmp_path / "c", "epoch-1", {"model": Hostile(trap)}, keep=2)
    assert checkpoint.damage(tmp_path / "c" / "epoch-1") is None
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        checkpoint.load(tmp_path / "c" / "epoch-1")
    assert not trap.exists()


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_trimming_keeps_the_newest_whole_and_nothing_else(folder, keep):
    names = checkpoint.commits(folder)
    (folder / ".draft").mkdir()
    (folder / ".draft" / "state.pt").write_bytes(b"half")
    checkpoint.trim(folder, keep)
    assert sorted(path.name for path in folder.iterdir()) == names[-keep:]
    assert all(checkpoint.damage(folder / name) is None for name in names[-keep:])
    checkpoint.trim(folder, keep)
    assert checkpoint.commits(folder) == names[-keep:], "a second time changes nothing"


def test_trimming_to_nothing_leaves_nothing(folder):
    checkpoint.trim(folder, 0)
    assert not folder.exists()
    checkpoint.trim(folder, 0)
    checkpoint.trim(folder, 1)
    assert not folder.exists(), "what never was is no failure"
