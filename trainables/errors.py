"""What a user can mend, and how a command ends: one tree of errors, one list of exit codes.

UserError
├── BadRequestError          2, is a ValueError too
│   └── SubjectError         of `trainables.efficiency.subjects`
├── DataError                4, is a ValueError too; of `trainables.data.dataset`
│   ├── UnknownDatasetError  2, like the next two: the request is bad, not the data
│   ├── UnknownFormError
│   ├── ImportRequestError
│   └── NoClassesError       of `trainables.data.importing.layout`
├── SweepLockedError         3, of `search.lock`
├── ResourceError            5
└── StorageError             6
    └── DamagedStoreError    of `search.mlflow_store`
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import ClassVar

from trainables.addresses import redacted


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1  # some trials failed, or what was compared does not agree
    BAD_REQUEST = 2  # argparse uses the same
    LOCKED = 3
    DATA = 4
    RESOURCES = 5
    STORAGE = 6
    INTERRUPTED = 130  # what a shell returns after SIGINT


class UserError(Exception):
    """What a user can mend: `mistakes` lists everything that is wrong, one line per mistake.

    `exit` is the code with which a command ends if this error stops it.
    """

    exit: ClassVar[Exit]

    def __init__(self, mistakes: Sequence[str]):
        super().__init__(list(mistakes))
        self.mistakes = list(mistakes)

    def __str__(self) -> str:
        return "\n".join(self.mistakes)


class BadRequestError(UserError, ValueError):
    """What was asked for cannot be done."""

    exit = Exit.BAD_REQUEST


class ResourceError(UserError):
    """What is needed is not there: CPUs, GPUs, a cluster, a port."""

    exit = Exit.RESOURCES


class StorageError(UserError):
    """A file or database of the home cannot be written or read."""

    exit = Exit.STORAGE


def complain(mistakes: Iterable[str], code: Exit) -> Exit:
    """Tell the user what is wrong, without credentials; returns `code`."""
    for mistake in mistakes:
        sys.stderr.write(f"error: {redacted(mistake)}\n")
    return code


def exit_code(work: Callable[[], int], interrupted: str = "") -> int:
    """Run `work` and tell the user of the error that ends it, if one does.

    Args:
        work: the command; it returns its own exit code.
        interrupted: what the user is told after Ctrl-C.

    Returns:
        What `work` returned, else the code of the error; an OSError counts as one of storage.
    """
    try:
        return work()
    except UserError as error:
        return complain(error.mistakes, error.exit)
    except OSError as error:
        return complain([str(error)], Exit.STORAGE)
    except KeyboardInterrupt:
        return complain([interrupted] if interrupted else [], Exit.INTERRUPTED)
