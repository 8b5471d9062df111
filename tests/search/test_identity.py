"""A study, and a run in MLflow, belong to one sweep of one home."""

import dataclasses
import gc
import json
import shutil

import pyarrow.parquet as pq
import pytest

from reports.build import build
from reports.mlflow_contract import sweep_id
from search import run as search_run
from search import verify
from search.identity import Identity, claim, planned
from search.projection import Projection, runs_of_trials
from search.reading import reopened
from search.record import State
from search.request import parse
from search.sampling import create
from search.study import SweepStudy
from search.study_file import StudyFile
from search.sweep_folder import SweepFolder
from trainables.errors import BadRequestError
from trainables.home import Home


@pytest.fixture
def shared(tmp_path, study_db):
    """A database of studies that several homes use."""
    shutil.copy(study_db, tmp_path / "shared.db")
    return f"sqlite:///{tmp_path / 'shared.db'}"


def opened(url, plan, home):
    """The study of `plan` for a home, claimed as a sweep claims it, with one trial."""
    folder = SweepFolder.of(home, plan.sweep)
    stored = create(plan.sweep, plan.directions, url)
    claim(stored, plan, folder, shared=True)
    study = SweepStudy(
        stored, plan.searched, directions=plan.directions, max_epochs=3, trials=plan.trials
    )
    return study, folder


def test_a_sweep_has_an_id_once(tmp_path, shared, make_plan):
    plan, home = make_plan(), Home(tmp_path / "home")
    study, folder = opened(shared, plan, home)
    first = Identity.of(folder)
    assert len(first.id) == 32
    assert not first.older
    assert study._study.user_attrs["sweep_id"] == first.id == sweep_id(home, plan.sweep)
    assert study._study.user_attrs["plan"] == json.loads(plan.to_json())
    study.next()
    opened(shared, plan, home)
    assert Identity.of(folder) == first


def test_two_homes_with_one_database_and_one_name(tmp_path, shared, make_plan):
    """Neither the same settings nor others make a sweep of one home that of another."""
    opened(shared, make_plan(), Home(tmp_path / "one"))[0].next()
    for plan in (make_plan(), make_plan(epochs=9)):
        with pytest.raises(BadRequestError, match=r"a sweep in another home.*another --name"):
            opened(shared, plan, Home(tmp_path / "two"))
    opened(shared, make_plan(sweep="other"), Home(tmp_path / "two"))


@pytest.mark.parametrize("changes", [{"epochs": 9}, {"seed": 1}, {"image_size": 112}])
def test_a_study_that_was_planned_otherwise(tmp_path, shared, make_plan, changes):
    """As after plan.json was lost: the study knows its plan."""
    home = Home(tmp_path / "home")
    opened(shared, make_plan(), home)[0].next()
    (name,) = changes
    with pytest.raises(BadRequestError, match=f"planned otherwise: {name}: was"):
        opened(shared, make_plan(**changes), home)
    opened(shared, make_plan(trials=9, data="/moved"), home)


def test_a_plan_of_a_sweep_without_trials_may_change(tmp_path, shared, make_plan):
    home = Home(tmp_path / "home")
    opened(shared, make_plan(), home)
    study, _ = opened(shared, make_plan(epochs=9), home)
    assert study._study.user_attrs["plan"]["epochs"] == 9


def test_a_lost_plan_of_a_study_of_an_earlier_version(whole_sweep):
    """It does not know its plan, but the trials' folders know theirs."""
    folder = SweepFolder(whole_sweep.folder)
    study = whole_sweep.study()
    for record in study.accepted:
        flat = whole_sweep.plan.flat(record.params)
        folder.trial(record.key).config.write_text(json.dumps(flat))
    folder.plan.unlink()
    other = dataclasses.replace(whole_sweep.plan, epochs=7)
    with pytest.raises(BadRequestError, match="epochs: was 3, now 7"):
        claim(study._study, other, folder, shared=False)
    claim(study._study, whole_sweep.plan, folder, shared=False)
    assert folder.plan.exists(), "the plan is written again"
    assert Identity.of(folder).older


@pytest.fixture
def lost_plan(whole_sweep):
    """A sweep whose plan only its study and the copy of that have."""
    folder, study = SweepFolder(whole_sweep.folder), whole_sweep.study()
    claim(study._study, whole_sweep.plan, folder, shared=False)
    StudyFile(folder).keep()
    folder.plan.unlink()
    del study
    gc.collect()  # closes what it had open, and SQLite's logs go
    return whole_sweep


@pytest.mark.parametrize("gone", [(), ("study.db",), ("study.db.good",)])
def test_a_lost_plan_is_found_in_the_study_or_its_copy(lost_plan, gone):
    folder = SweepFolder(lost_plan.folder)
    for name in gone:
        (folder.path / name).unlink()
    here = sorted(folder.path.iterdir())
    assert planned(folder, None) == lost_plan.plan
    assert sorted(folder.path.iterdir()) == here, "nothing is changed"


def test_a_sweep_without_its_plan_is_resumed_and_read(lost_plan, tiny_data, capsys):
    home = ["--home", str(lost_plan.home)]
    request = parse(["linformer", *home, "--name", "small", "--data", str(tiny_data), "--resume"])
    assert request.earlier == lost_plan.plan
    assert verify.main([*home, "small"]) == verify.main(home) == 1
    told = capsys.readouterr().out
    assert told.count("plan.json is lost; --resume writes it again") == 2


def test_a_plan_that_nothing_has_is_asked_for(lost_plan, capsys):
    for file in lost_plan.folder.glob("study.db*"):
        file.unlink()
    home = ["--home", str(lost_plan.home)]
    assert search_run.main(["linformer", *home, "--name", "small", "--resume"]) == 2
    assert verify.main(home) == 2
    for said in capsys.readouterr().err.splitlines():
        assert "plan.json is lost" in said
        assert "give the command that began the sweep, without --resume" in said


def test_a_lost_plan_is_not_taken_from_another_homes_study(tmp_path, shared, make_plan):
    plan, homes = make_plan(), [Home(tmp_path / name) for name in ("one", "two")]
    opened(shared, plan, homes[0])[0].next()
    folders = [SweepFolder.of(home, plan.sweep) for home in homes]
    folders[1].path.mkdir(parents=True)
    folders[1].identity.write_text(json.dumps({"id": "f" * 32, "older": False}))
    assert planned(folders[0], shared) == plan
    with pytest.raises(BadRequestError, match=r"plan.json is lost"):
        planned(folders[1], shared)


def test_an_earlier_study_of_another_home_is_not_adopted(tmp_path, shared, make_plan):
    plan = make_plan()
    stored = create(plan.sweep, plan.directions, shared)
    SweepStudy(stored, plan.searched, directions=plan.directions, max_epochs=3).next()
    with pytest.raises(BadRequestError, match="a sweep in another home"):
        opened(shared, plan, Home(tmp_path / "two"))
    home = Home(tmp_path / "one")
    SweepFolder.of(home, plan.sweep).path.mkdir(parents=True)
    plan.save(SweepFolder.of(home, plan.sweep).plan)
    _, folder = opened(shared, plan, home)
    assert Identity.of(folder).older


def test_reading_refuses_the_study_of_another_home(tmp_path, shared, make_plan):
    plan = make_plan()
    for name in ("one", "two"):
        folder = SweepFolder.of(Home(tmp_path / name), plan.sweep)
        folder.path.mkdir(parents=True)
        plan.save(folder.plan)
    opened(shared, plan, Home(tmp_path / "one"))[0].next()
    folder.identity.write_text(json.dumps({"id": "f" * 32, "older": False}))
    reopened(Home(tmp_path / "one"), plan.sweep, shared)
    with pytest.raises(BadRequestError, match="a sweep in another home"):
        reopened(Home(tmp_path / "two"), plan.sweep, shared)


def ids(made, identity):
    experiment = made.client.get_experiment_by_name("linformer").experiment_id
    return {run.info.run_id for run in runs_of_trials(made.client, experiment, "small", identity)}


@pytest.mark.slow
def test_runs_are_not_adopted_across_homes(whole_sweep, tmp_path):
    """Two homes that call their sweeps alike write to one MLflow."""
    study, homes = whole_sweep.study(), {}
    for name in ("one", "two"):
        homes[name] = Home(tmp_path / name)
        shutil.copytree(whole_sweep.folder, homes[name].path / "small")
        folder = SweepFolder.of(homes[name], "small")
        folder.identity.write_text(json.dumps({"id": name, "older": False}))
        for _ in range(2):
            projection = Projection(whole_sweep.uri, homes[name], whole_sweep.plan, {})
            projection.sweep("FINISHED")
            for record in study.accepted:
                projection.trial(record)
    found = [ids(whole_sweep, Identity(name, older=False)) for name in homes]
    assert [len(runs) for runs in found] == [4, 4]
    assert not found[0] & found[1]
    keys = {record.key for record in study.accepted}
    for name, home in homes.items():
        report = build(home, "small", whole_sweep.uri)
        rows = pq.read_table(report.with_name("trials.parquet")).to_pylist()
        assert {row["trial_key"] for row in rows} == keys
        assert {row["run_id"] for row in rows} == ids(whole_sweep, Identity(name, older=False))


def test_runs_of_an_earlier_version_get_the_id(whole_sweep):
    folder = SweepFolder(whole_sweep.folder)
    before = ids(whole_sweep, Identity())
    study = whole_sweep.study()
    claim(study._study, whole_sweep.plan, folder, shared=False)
    mine = Identity.of(folder)
    assert mine.older
    whole_sweep.project(study)
    assert ids(whole_sweep, mine) == before
    assert ids(whole_sweep, dataclasses.replace(mine, older=False)) == before, "all have it"
    assert ids(whole_sweep, Identity("another", older=True)) == set()
    assert State.COMPLETE in {record.state for record in study.accepted}
