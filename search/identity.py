"""Whose a study is: it has the sweep's id and its plan, and the sweep's folder has the id, too.

Homes may share a database of studies, or an MLflow, and call their sweeps alike. A study, and a run
in MLflow, are of the home that began the sweep, and no other goes on with them.
"""

import dataclasses
import json
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from sqlalchemy.exc import SQLAlchemyError

from reports.mlflow_contract import Tag
from search.adoption import foreign
from search.plan import Plan
from search.storage import told
from search.study_file import external, in_memory
from search.sweep_folder import SweepFolder
from trainables import records
from trainables.errors import BadRequestError

_ID, _PLAN = "sweep_id", "plan"  # attributes of a study


@dataclass(frozen=True, slots=True)
class Identity:
    """A sweep's `id`; one that is `older` than ids has runs in MLflow without it."""

    id: str = ""
    older: bool = True

    @classmethod
    def of(cls, folder: SweepFolder) -> "Identity":
        """What the sweep's folder says; without a word, the sweep has no id yet."""
        try:
            found = json.loads(folder.identity.read_text(encoding="utf-8"))
            return cls(str(found["id"]), bool(found["older"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Whether a run of the sweep's name in MLflow is the sweep's."""
        return tags[Tag.SWEEP_ID] == self.id if Tag.SWEEP_ID in tags else self.older

    def save(self, folder: SweepFolder) -> None:
        folder.path.mkdir(parents=True, exist_ok=True)
        records.replace_json(folder.identity, dataclasses.asdict(self))


def claim(study: optuna.Study, plan: Plan, folder: SweepFolder, shared: bool) -> None:
    """See that `study` is the sweep's, and mark it so if it has no mark yet.

    `shared`: its database may be that of other homes, too.

    Raises:
        BadRequestError: It is another home's, or was planned otherwise.
    """
    known = _keys(study)
    mine, theirs = Identity.of(folder), study.user_attrs.get(_ID)
    at_home = not shared or folder.plan.exists() or bool(known & folder.trial_keys())
    if known and not mine.id and not at_home:
        raise _another(study)
    refuse_another(study, plan, folder)
    if not study.user_attrs.get(_PLAN):
        for key in sorted(known & folder.trained_keys()):
            _refuse_changes(study, foreign(_config(folder, key), plan))
    if not mine.id:
        mine = Identity(theirs or uuid.uuid4().hex, older=theirs is None and bool(known))
        mine.save(folder)
    if theirs is None:
        study.set_user_attr(_ID, mine.id)
    if study.user_attrs.get(_PLAN) != (document := json.loads(plan.to_json())):
        study.set_user_attr(_PLAN, document)
    if known and not folder.plan.exists():
        plan.save(folder.plan)


def refuse_another(study: optuna.Study, plan: Plan, folder: SweepFolder) -> None:
    """See that `study` can be the sweep's.

    Raises:
        BadRequestError: It is another home's, or its trials were planned otherwise.
    """
    mine, theirs = Identity.of(folder), study.user_attrs.get(_ID)
    if mine.id and theirs and mine.id != theirs:
        raise _another(study)
    planned = study.user_attrs.get(_PLAN)
    if planned and _keys(study):
        try:
            earlier = Plan.of(planned)
        except ValueError:  # of a version that planned something else
            return
        _refuse_changes(study, earlier.differences(plan))


def planned(folder: SweepFolder, database: str | None) -> Plan:
    """The plan of a sweep whose plan.json is lost, as its study has it.

    Raises BadRequestError if no study has it, StorageError if the `database` cannot be used.
    """
    mine = Identity.of(folder).id
    for study in _studies(folder, database):
        same = mine == study.user_attrs.get(_ID) if mine else not database
        if same or _keys(study) & folder.trial_keys():
            with suppress(ValueError):  # of a version that planned something else, or nothing
                return Plan.of(study.user_attrs.get(_PLAN))
    said = f"{folder.plan} is lost, and no study that can be read has the plan"
    raise BadRequestError([f"{said}; give the command that began the sweep, without --resume"])


def _studies(folder: SweepFolder, database: str | None) -> Iterator[optuna.Study]:
    """The sweep's study, and the copy of it, as far as they can be read; nothing is changed."""
    name = folder.path.name
    if database:
        with told(), suppress(KeyError):
            yield optuna.load_study(study_name=name, storage=external(database))
        return
    for file in filter(lambda file: file.exists(), (folder.study, folder.study_copy)):
        unreadable = (OSError, KeyError, sqlite3.Error, SQLAlchemyError)
        with suppress(*unreadable, optuna.exceptions.OptunaError):
            yield optuna.load_study(study_name=name, storage=in_memory(file))


def _keys(study: optuna.Study) -> set[str]:
    trials = study.get_trials(deepcopy=False)
    return {t.user_attrs["trial_key"] for t in trials if "trial_key" in t.user_attrs}


def _config(folder: SweepFolder, key: str) -> dict[str, Any]:
    try:
        return json.loads(folder.trial(key).config.read_text(encoding="utf-8"))
    except ValueError:  # damaged; verify names it
        return {}


def _another(study: optuna.Study) -> BadRequestError:
    said = f"the study {study.study_name!r} in this database is of a sweep in another home"
    return BadRequestError([f"{said}; give its --home, or another --name for another sweep"])


def _refuse_changes(study: optuna.Study, changes: list[str]) -> None:
    if changes:
        said = f"the study {study.study_name!r} has trials and was planned otherwise"
        hint = "give these as they were, or another --name for another sweep"
        raise BadRequestError([*(f"{said}: {change}" for change in changes), hint])
