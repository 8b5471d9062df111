"""Frozen dataclasses as the vocabulary of a flat configuration: every mistake is found at once."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

from spaces.space import nearest


def names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _type_mistake(key: str, value: Any, hint: Any) -> str | None:
    """What is wrong with the type of `value`, or None. A whole number serves as a float."""
    kinds = get_args(hint) or (hint,)
    accepted = set(kinds) | ({int} if float in kinds else set())
    if type(value) in accepted:
        return None
    expected = " or ".join("nothing" if k is type(None) else k.__name__ for k in kinds)
    return f"{key} must be {expected}, given {value!r}"


def mistakes(kinds: Sequence[type], given: Mapping[str, Any], owner: str) -> list[str]:
    """Unknown, missing and wrongly typed keys of `given`, compared with the fields of `kinds`."""
    hints = {key: hint for kind in kinds for key, hint in get_type_hints(kind).items()}
    needed = [
        field.name
        for kind in kinds
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    known = list(hints)
    wrong = [f"{owner} has no {key!r}{nearest(key, known)}" for key in given if key not in hints]
    wrong += [f"{owner} needs {key}" for key in needed if key not in given]
    typed = [_type_mistake(key, value, hints[key]) for key, value in given.items() if key in hints]
    return wrong + [mistake for mistake in typed if mistake]


def literal(text: str) -> Any:
    """The value that a text on the command line stands for: true, 8, 3e-4, or else the text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def assignments(texts: Sequence[str]) -> dict[str, Any]:
    """`name=value` texts as a dictionary.

    Raises:
        ValueError: some are not of this form, or name the same key; all are named.
    """
    wrong = [f"{text!r} is not name=value" for text in texts if not text.partition("=")[2]]
    names = [text.partition("=")[0] for text in texts]
    wrong += [f"{name} is given twice" for name in sorted(set(names)) if names.count(name) > 1]
    if wrong:
        raise ValueError("; ".join(wrong))
    return {name: literal(value) for name, _, value in (text.partition("=") for text in texts)}


def pick(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The items of `given` that are fields of `kind`."""
    return {key: given[key] for key in names(kind) if key in given}
