"""A home that was made before the house was rearranged opens as it did.

`old_home.tar.gz` holds a made-up sweep of four trials, as commit 42002cd wrote its study, its
folders and its MLflow. It is never made again: what is to be opened is what lies on disks.
"""

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from reports.build import build
from search import verify
from search.allowance import Allowance
from search.reading import reopened
from search.record import State
from search.settings import described
from search.study_file import StudyFile
from search.sweep_folder import SweepFolder, sweeps
from trainables.home import Home


@pytest.fixture
def old_home(tmp_path):
    with tarfile.open(Path(__file__).with_name("old_home.tar.gz")) as archive:
        archive.extractall(tmp_path / "home", filter="data")
    return Home(tmp_path / "home")


def test_study_folders_and_mlflow_agree(old_home, capsys):
    assert sweeps(old_home) == ["small"]
    assert verify.main(["--home", str(old_home)]) == 0
    told = capsys.readouterr().out
    assert "small: 4 trials (" in told
    assert "study, folders and MLflow agree" in told


def test_trials_are_known_and_the_sweep_can_be_extended(old_home):
    plan, study = reopened(old_home, "small", None)
    found = [record.state for record in study.accepted]
    assert found == [State.COMPLETE, State.STOPPED, State.FAILED, State.INFEASIBLE]
    assert not study.unfinished
    assert plan.differences(replace(plan, trials=5)) == []
    study.allowance = Allowance(trials=5)
    record = study.next()
    assert record is not None
    assert record.key not in {r.key for r in study.accepted[:4]}


def test_it_goes_on_although_conditions_are_new(old_home):
    """Its trials have values without effect, their keys are made of these too."""
    plan, study = reopened(old_home, "small", None)
    space = plan.searched
    assert any(r.params != space.effective(r.params) for r in study.accepted)
    older = replace(plan, space=described(replace(space, conditions={})))
    now = replace(plan, space=described(space))
    assert older != now
    assert older.differences(now) == now.differences(older) == []
    other = replace(plan, space=described(space.fix({"depth": 4})))
    assert older.differences(other) != []
    changed = replace(space, conditions={"gamma": space.conditions["gamma"]})
    assert now.differences(replace(plan, space=described(changed))) != []


def test_a_damaged_study_has_its_good_copy(old_home):
    folder = SweepFolder.of(old_home, "small")
    folder.study.write_bytes(b"no database" * 100)
    assert "using the previous good one" in StudyFile(folder).heal()
    _, study = reopened(old_home, "small", None)
    assert len(study.accepted) == 4


def test_it_is_reported(old_home):
    report = build(old_home, "small")
    assert report == old_home.reports / "small" / "report.html"
    rows = pq.read_table(report.with_name("trials.parquet")).to_pylist()
    keys = {row["trial_key"]: row["state"] for row in rows}
    _, study = reopened(old_home, "small", None)
    assert keys == {record.key: record.state.value for record in study.accepted}
    assert rows[0]["best_valid_top1"] == 0.75
    lines = SweepFolder.of(old_home, "small").trial(rows[0]["trial_key"]).metrics.read_text()
    assert json.loads(lines.splitlines()[-1])["test_top1"] == rows[0]["test_top1"]
