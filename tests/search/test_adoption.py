"""Trials that a study has lost come back from their folders, and nothing else does."""

import dataclasses

import pytest

from search.adoption import adopt
from search.reading import reopened
from search.record import State, config_hash
from search.study_file import StudyFile
from search.sweep_folder import SweepFolder
from trainables import checkpoint, records
from trainables.config import TrialConfig
from trainables.errors import BadRequestError, StorageError
from trainables.home import Home


@pytest.fixture
def lost(whole_sweep):
    """A whole sweep whose study and copy are gone; its trials' folders say what was trained."""
    whole_sweep.before = whole_sweep.study().accepted
    folder = SweepFolder(whole_sweep.folder)
    for record in whole_sweep.before:
        flat = whole_sweep.plan.flat(record.params) | {"data": "/elsewhere", "workers": 1}
        records.replace_json(folder.trial(record.key).config, flat)
    for file in whole_sweep.folder.glob("study.db*"):
        file.unlink()
    return whole_sweep


def adopted(made, plan=None):
    study = made.study()._study
    return adopt(study, plan or made.plan, SweepFolder(made.folder), {})


def commit_of(lost, key):
    """A trial that can go on has a commit."""
    commits = SweepFolder(lost.folder).trial(key).checkpoints
    checkpoint.commit(commits, "epoch-00001", {"line": {}}, keep=1)


@pytest.mark.parametrize("commit", [True, False], ids=["interrupted", "stopped"])
def test_a_lost_study_is_made_again_from_the_folders(lost, commit):
    folder = SweepFolder(lost.folder)
    if commit:
        commit_of(lost, lost.before[1].key)
    assert "making it again from the trials" in StudyFile(folder).heal()
    assert adopted(lost) == [record.key for record in lost.before]
    assert adopted(lost) == [], "once"
    study = lost.study()
    assert [(r.key, r.params) for r in study.accepted] == [(r.key, r.params) for r in lost.before]
    second = State.RUNNING if commit else State.STOPPED
    states = [State.COMPLETE, second, State.FAILED, State.INFEASIBLE]
    assert [record.state for record in study.accepted] == states
    for now, before in zip(study.accepted, lost.before, strict=True):
        if now.state != State.RUNNING:
            # nobody knows why they were suggested, nor why one was stopped
            lost_too = {"metrics": {}, "decisions": []}
            lost_too |= {"reason": ""} if now.state == State.STOPPED else {}
            assert dataclasses.replace(now, **lost_too) == dataclasses.replace(before, **lost_too)
    first = study.next()
    if commit:
        assert first.key == lost.before[1].key, "what has not ended goes on first"
    else:
        assert first is None, "what was stopped is not trained again"
    assert StudyFile(folder).heal() == ""


def test_an_older_copy_gets_the_trials_it_does_not_know(lost):
    first = lost.before[0]
    study = lost.study()._study
    one = SweepFolder(lost.folder).trial(first.key).path
    others = lost.folder / "others"
    (lost.folder / "trials").rename(others)
    one.parent.mkdir()
    (others / first.key).rename(one)
    assert adopt(study, lost.plan, SweepFolder(lost.folder), {}) == [first.key]
    for path in others.iterdir():
        path.rename(one.parent / path.name)
    assert adopted(lost) == [record.key for record in lost.before[1:]]
    assert [r.key for r in lost.study().accepted] == [r.key for r in lost.before]


def test_numbers_of_new_trials_do_not_meet_those_of_folders(lost):
    commit_of(lost, lost.before[1].key)
    adopted(lost)
    lost.plan = dataclasses.replace(lost.plan, trials=5)
    study = lost.study()
    study.finish(study.next().key, State.FAILED, "a reason")
    record = study.next()
    assert record.number > max(r.number for r in lost.before)
    assert record.key not in {r.key for r in lost.before}


def test_what_has_no_effect_is_adopted_only_from_trials_that_were_asked_it(lost):
    """A folder has the values of the recipe; an earlier version asked for all of them."""
    place = SweepFolder(lost.folder)
    first = next(r for r in lost.before if r.params["schedule"] == "cosine")
    for record in lost.before:
        records.replace_json(
            place.trial(record.key).config,
            TrialConfig.from_flat(lost.plan.flat(record.params)).flat(),
        )
    asked = {**first.params, "gamma": 0.1, "step_size": 3}
    key = f"00009-{config_hash(asked)[:8]}"
    older = place.trial(key)
    place.trial(first.key).path.rename(older.path)
    records.replace_json(older.config, TrialConfig.from_flat(lost.plan.flat(asked)).flat())
    adopted(lost)
    params = {record.key: record.params for record in lost.study().accepted}
    assert params.pop(key) == asked
    assert params == {r.key: r.params for r in lost.before if r != first}


@pytest.mark.parametrize("changes", [{"epochs": 7}, {"image_size": 112}, {"seed": 3}])
def test_trials_of_other_settings_are_refused(lost, changes):
    plan = dataclasses.replace(lost.plan, **changes)
    (name,) = changes
    with pytest.raises(BadRequestError, match=f"{name}: was .* another --name"):
        adopted(lost, plan)
    assert lost.study().records == {}, "nothing was told"


def test_parameters_that_are_not_those_of_the_key_are_refused(lost):
    config = SweepFolder(lost.folder).trial(lost.before[0].key).config
    flat = lost.plan.flat(lost.before[1].params)
    records.replace_json(config, flat)
    with pytest.raises(BadRequestError, match="not those of its key"):
        adopted(lost)


def test_a_folder_without_a_configuration_is_nobodys(lost):
    (lost.folder / "trials" / "00099-abcdef00").mkdir()
    (lost.folder / "trials" / "notes").mkdir()
    records.replace_json(lost.folder / "trials" / "notes" / "config.json", {})
    assert len(adopted(lost)) == 4


@pytest.mark.parametrize("damage", ["missing", "empty", "emptied", "behind"])
def test_reading_mends_nothing_and_makes_nothing(whole_sweep, damage):
    """What a person looks at while he wonders must be there afterwards, as it was."""
    folder = SweepFolder(whole_sweep.folder)
    if damage == "missing":
        folder.study.unlink()
    elif damage == "empty":
        folder.study.write_bytes(b"")
    else:
        kept = folder.study_copy.read_bytes()
        for file in whole_sweep.folder.glob("study.db*"):
            file.unlink()
        study = whole_sweep.study()
        if damage == "behind":
            whole_sweep.plan = dataclasses.replace(whole_sweep.plan, seed=5)
            study.next()
        study._study._storage.remove_session()
        study._study._storage._backend.engine.dispose()
        folder.study_copy.write_bytes(kept)

    def content():
        return {path: path.read_bytes() for path in whole_sweep.folder.glob("study*")}

    before = content()
    with pytest.raises(StorageError, match="--resume heals it"):
        reopened(Home(whole_sweep.home), "small", None)
    assert content() == before
    assert "using the previous good one" in StudyFile(folder).heal()
    assert len(reopened(Home(whole_sweep.home), "small", None)[1].accepted) == 4


def test_reading_a_sound_study_leaves_its_bytes(whole_sweep):
    def content():
        return {path: path.read_bytes() for path in whole_sweep.folder.glob("study*")}

    before = content()
    _, study = reopened(Home(whole_sweep.home), "small", None)
    record = study.records[next(iter(study.records))]
    assert record.state == State.COMPLETE
    assert content() == before
    database = f"sqlite:///{whole_sweep.folder / 'study.db'}"
    assert len(reopened(Home(whole_sweep.home), "small", database)[1].accepted) == 4
    assert content() == before
    with pytest.raises(StorageError, match="there is no database"):
        reopened(Home(whole_sweep.home), "small", f"sqlite:///{whole_sweep.home / 'none.db'}")
    assert not (whole_sweep.home / "none.db").exists()
