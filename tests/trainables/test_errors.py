"""How commands end: a code for each kind of error, and what is wrong told once, a line each."""

import pickle

import pytest

from search.lock import SweepLockedError
from search.mlflow_store import DamagedStoreError
from trainables.data import DataError, UnknownDatasetError
from trainables.data.importing.forms import UnknownFormError
from trainables.data.importing.job import ImportRequestError
from trainables.data.importing.layout import NoClassesError
from trainables.efficiency.subjects import SubjectError
from trainables.errors import (
    BadRequestError,
    Exit,
    ResourceError,
    StorageError,
    UserError,
    exit_code,
)

CODES = {
    BadRequestError: 2,
    SubjectError: 2,
    UnknownDatasetError: 2,
    UnknownFormError: 2,
    ImportRequestError: 2,
    SweepLockedError: 3,
    DataError: 4,
    NoClassesError: 4,
    ResourceError: 5,
    StorageError: 6,
    DamagedStoreError: 6,
}


def ending(error: BaseException) -> int:
    def work() -> int:
        raise error

    return exit_code(work, "interrupted; go on")


@pytest.mark.parametrize("kind", CODES)
def test_an_error_ends_a_command_with_its_code_and_all_mistakes(kind, capsys):
    assert ending(kind(["one", "two"])) == CODES[kind]
    assert capsys.readouterr().err == "error: one\nerror: two\n"


@pytest.mark.parametrize("kind", CODES)
def test_an_error_is_text_and_travels_between_processes(kind):
    error = pickle.loads(pickle.dumps(kind(["one", "two"])))
    assert (str(error), error.mistakes) == ("one\ntwo", ["one", "two"])


def test_no_error_of_a_user_is_without_a_code():
    def all_beneath(kind: type[UserError]) -> set[type[UserError]]:
        return {kind}.union(*(all_beneath(below) for below in kind.__subclasses__()))

    assert all_beneath(UserError) - {UserError} == set(CODES)


def test_other_endings(capsys):
    assert exit_code(lambda: Exit.FAILED) == 1
    assert ending(OSError("no space")) == 6
    assert ending(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "error: no space\nerror: interrupted; go on\n"
    with pytest.raises(RuntimeError, match="ours"):
        ending(RuntimeError("ours"))


def test_no_message_shows_a_credential(capsys):
    assert ending(StorageError(["postgresql://me:c4n4ry@db/x does not answer"])) == 6
    assert "c4n4ry" not in capsys.readouterr().err
