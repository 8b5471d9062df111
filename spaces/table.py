"""A space out of a TOML or JSON file.

include = ["TRAINING"]                          # parameters of `spaces.wttf`, by their names
params.depth = {low = 4, high = 8}              # whole numbers, maybe with `step`
params.lr = {low = 1e-4, high = 1e-2, log = true}
params.heads = [2, 4]
fixed.grid = 7
rules = [{divides = ["heads", "dim"]}, {at_most = ["k_dim", "tokens"]}]
conditions.step_size = {schedule = ["step"]}    # has an effect for these values of others
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from spaces import wttf
from spaces.conditions import In
from spaces.document import odd_parts
from spaces.domains import Choice, Domain, Integer, Real
from spaces.rules import AtMost, Divides, Rule
from spaces.space import Space, nearest

_INCLUDED = {"SHELL": wttf.SHELL, "TRAINING": wttf.TRAINING}
_RULES: dict[str, Callable[..., Rule]] = {"divides": Divides, "at_most": AtMost}
T = TypeVar("T")
_KEYS = ("model", "include", "params", "fixed", "rules", "conditions")


def load(path: Path) -> Space:
    """The space of a file.

    Raises:
        ValueError: all mistakes, one a line, each with the file and where in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        held: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # with line and column
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(held, dict):
        raise ValueError(f"{path}: it holds no table")
    return _Reader(path, cast(dict[str, Any], held)).space()


class _Reader:
    """Reads one file; `wrong` collects what is wrong with it."""

    def __init__(self, path: Path, held: Mapping[str, Any]):
        self._path, self._held = path, held
        self.wrong: list[str] = []

    def space(self) -> Space:
        for key in self._held:
            if key not in _KEYS:
                self._complain(key, f"a space has no such part{nearest(key, list(_KEYS))}")
        params: dict[str, Domain] = {}
        for name in map(str, self._part("include").values()):
            if name in _INCLUDED:
                params |= _INCLUDED[name]
            else:
                self._complain("include", f"there is no {name!r}, but {', '.join(_INCLUDED)}")
        params |= self._each("params", _domain)
        rules = tuple(self._each("rules", _rule).values())
        conditions = self._each("conditions", _conditions)
        model, fixed = self._held.get("model", ""), self._part("fixed")
        made: Space | None = None
        if not self.wrong:
            try:
                made = Space(
                    params=params, model=model, fixed=fixed, rules=rules, conditions=conditions
                )
                self.wrong += [f"{self._path}: {odd}" for odd in odd_parts(made)]
            except ValueError as error:
                self.wrong.append(f"{self._path}: {error}")
        if made is None or self.wrong:
            raise ValueError("\n".join(self.wrong))
        return made

    def _complain(self, where: str, said: str) -> None:
        self.wrong.append(f"{self._path}: {where}: {said}")

    def _part(self, part: str) -> dict[str, Any]:
        """A part of the file by names; of a list, by the places in it."""
        found = self._held.get(part, {})
        if isinstance(found, list):
            return {str(i): entry for i, entry in enumerate(cast(list[Any], found), 1)}
        if isinstance(found, dict):
            return cast(dict[str, Any], found)
        self._complain(part, f"it must be a table or a list, given {found!r}")
        return {}

    def _each(self, part: str, make: Callable[[Any], T]) -> dict[str, T]:
        made: dict[str, T] = {}
        for name, entry in self._part(part).items():
            try:
                made[name] = make(entry)
            except (TypeError, ValueError, AttributeError) as error:
                self._complain(f"{part}.{name}", str(error))
        return made


def _domain(entry: Any) -> Domain:
    if isinstance(entry, list):
        return Choice(tuple(cast(list[Any], entry)))
    if not isinstance(entry, dict) or not {"low", "high"} <= entry.keys():
        raise ValueError(f"a parameter has a list of values, or low and high, given {entry!r}")
    ends = cast(dict[str, Any], entry)
    whole = all(type(ends[end]) is int for end in ("low", "high"))
    return Integer(**ends) if whole else Real(**ends)


def _rule(entry: Any) -> Rule:
    said = cast(dict[str, Any], entry) if isinstance(entry, dict) else {}
    for name, names in said.items() if len(said) == 1 else ():
        pair = cast(list[Any], names) if isinstance(names, list) else []
        if name in _RULES and len(pair) == 2:
            return _RULES[name](*pair)
    raise ValueError(f"a rule is {{divides: [a, b]}} or {{at_most: [a, b]}}, given {entry!r}")


def _conditions(entry: Any) -> tuple[In, ...]:
    conditions = cast(dict[str, Any], entry).items()
    if odd := [
        f"{name}: {values!r}" for name, values in conditions if not isinstance(values, list)
    ]:
        raise ValueError(f"a condition lists the values of another parameter, given {odd[0]}")
    return tuple(In(name, tuple(values)) for name, values in conditions)
