"""What `--set` says of the parameters: constants, ranges and lists.

name=value   name=low:high   name=low:high:log   name=low:high:step=N   name=a,b,c
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, get_args, get_type_hints

from spaces.space import Choice, Domain, Integer, Real, Value
from trainables import fields

_FORMS = "LOW:HIGH, LOW:HIGH:log or LOW:HIGH:step=N"
_WHOLE = ("pretrain_data", "weights", "sha256")  # texts of any kind, which are constants
_SHOWN = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


@dataclass(frozen=True, slots=True)
class Assigned:
    """`values` are constants, `domains` are searched."""

    values: dict[str, Value] = field(default_factory=dict[str, Value])
    domains: dict[str, Domain] = field(default_factory=dict[str, Domain])


def read(texts: Sequence[str], kinds: Sequence[type]) -> tuple[Assigned, list[str]]:
    """What `--set` was given, and all mistakes in it.

    `kinds` are dataclasses whose fields are the parameters: a whole number is none for a rate.
    """
    try:
        values = fields.assignments(texts)
    except ValueError as error:
        return Assigned(), [f"--set: {error}"]
    hints = {name: hint for kind in kinds for name, hint in get_type_hints(kind).items()}
    found, wrong = Assigned(), list[str]()
    for name, text in (text.split("=", 1) for text in texts):
        if name in _WHOLE or not ("," in text or ":" in text):
            found.values[name] = values[name]
            continue
        try:
            found.domains[name] = _domain(text, _kinds(hints.get(name)))
        except ValueError as error:
            wrong.append(f"--set {name}={text}: {error}")
    return found, wrong


def _kinds(hint: Any) -> tuple[type, ...]:
    """The types that a parameter may have; all, of an unknown one."""
    if hint is None:
        return (bool, int, float, str)
    return get_args(hint) if isinstance(hint, UnionType) else (hint,)


def _domain(text: str, kinds: tuple[type, ...]) -> Domain:
    if "," in text:
        return Choice(tuple(_typed(part.strip(), kinds) for part in text.split(",")))
    low, high, *rest = text.split(":")
    numbers = tuple(kind for kind in kinds if kind in (int, float))
    if not numbers:
        raise ValueError("it has no numbers, and so no range; list its values: a,b,c")
    log, step = rest == ["log"], 1
    if rest and not log:
        name, _, given = rest[0].partition("=")
        if len(rest) > 1 or name != "step" or not given.isdigit():
            raise ValueError(f"a range is {_FORMS}")
        step = int(given)
    ends = [_typed(end, numbers) for end in (low, high)]
    if all(isinstance(end, int) for end in ends):
        return Integer(int(ends[0]), int(ends[1]), step, log)
    if step != 1 or (rest and not log):
        raise ValueError("only whole numbers have steps")
    return Real(float(ends[0]), float(ends[1]), log)


def _typed(text: str, kinds: tuple[type, ...]) -> Value:
    """The value that a text stands for, as one of `kinds`; a whole number serves as a float."""
    value = fields.literal(text)
    if type(value) in kinds:
        return value
    if float in kinds and type(value) is int:
        return float(value)
    if str in kinds and text:
        return text
    shown = " or ".join(_SHOWN[kind] for kind in kinds if kind in _SHOWN)
    raise ValueError(f"{text!r} is not {shown}")


def documents(domains: Mapping[str, Domain]) -> dict[str, Any]:
    """Domains as a plan keeps them."""
    from spaces.document import written_domain

    return {name: written_domain(domain) for name, domain in sorted(domains.items())}
