"""Arguments of a Python call as the words of the command line of `search.run`."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from trainables.errors import BadRequestError

if TYPE_CHECKING:
    from search.request import Request

_CALLED = {"objectives": "objective", "settings": "set"}  # where the option has another name


def words(given: Mapping[str, Any]) -> list[str]:
    """Arguments by name as words of the command line.

    True is the option alone, and False the one that begins with `--no-`; None is left out. A list
    is several words, and of a mapping each is like NAME=VALUE.
    """
    found: list[str] = []
    for name, value in given.items():
        option = f"--{_CALLED.get(name, name).replace('_', '-')}"
        if value is True:
            found.append(option)
        elif value is False:
            found.append(f"--no-{option[2:]}")
        elif isinstance(value, (Mapping, list, tuple)):
            several = _several(cast(Mapping[str, Any] | Sequence[Any], value))
            found += [option, *several] if several else []
        elif value is not None:
            found.append(f"{option}={_word(value)}")
    return found


def _several(values: Mapping[str, Any] | Sequence[Any]) -> list[str]:
    if isinstance(values, Mapping):
        return [f"{name}={_word(value)}" for name, value in values.items()]
    return [_word(value) for value in values]


def _word(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def parsed(given: list[str]) -> "Request":
    """The request of these words. Raises BadRequestError where a command would show its usage."""
    from search.options import parser
    from search.request import parse

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            asked, unknown = parser().parse_known_args(given)
    except SystemExit as end:
        text = said.getvalue().strip().rpartition("error: ")[2]
        raise BadRequestError([text if end.code else "no sweep is asked for"]) from None
    wrong = [f"there is no option for {word.partition('=')[0]}" for word in unknown]
    if asked.dry_run:
        wrong.append("dry_run has no result: python -m search.run --dry-run shows it")
    if wrong:
        raise BadRequestError(wrong)
    return parse(given)
