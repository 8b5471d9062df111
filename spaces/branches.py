"""The branches of a space: in each of them the same parameters have an effect."""

import math
from collections.abc import Mapping, Sequence

from spaces.conditions import Condition, OnParent
from spaces.domains import Choice, Domain, Integer, Real
from spaces.point import Value

_Conditions = Mapping[str, tuple[Condition, ...]]


def branches(
    params: Mapping[str, Domain], fixed: Mapping[str, Value], conditional: _Conditions
) -> list[dict[str, Domain]]:
    """Every combination of parents' values that leaves other parameters an effect, as domains.

    Args:
        params: what is searched.
        fixed: the constants.
        conditional: of the searched parameters that do not always have an effect, the conditions;
            parents come before their children.

    Returns:
        For each branch the domains of what has an effect there. No configuration is in two of
        them, but for single values of a real interval.
    """
    asked: dict[str, list[OnParent]] = {}
    for part in (part for found in conditional.values() for c in found for part in c.parts):
        if part.name in params:
            asked.setdefault(part.name, []).append(part)
    order = [name for name in asked if name not in conditional]
    order += [name for name in conditional if name in asked]
    grown: list[tuple[dict[str, Domain], dict[str, Value]]] = [({}, dict(fixed))]
    for parent in order:
        grown = [
            (
                {**domains, **({parent: piece[0]} if piece else {})},
                {**known, **_said(parent, piece)},
            )
            for domains, known in grown
            for piece in _offered(parent, params[parent], asked[parent], known, conditional)
        ]
    return [
        {
            name: domains.get(name, domain)
            for name, domain in params.items()
            if (name in domains if name in asked else _active(name, known, conditional))
        }
        for domains, known in grown
    ]


_Piece = tuple[Domain, Value]  # a part of a domain, and one of its values


def _active(name: str, known: Mapping[str, Value], conditional: _Conditions) -> bool:
    return all(condition.holds(known) for condition in conditional.get(name, ()))


def _said(parent: str, piece: _Piece | None) -> dict[str, Value]:
    return {parent: piece[1]} if piece else {}


def _offered(
    parent: str,
    domain: Domain,
    parts: Sequence[OnParent],
    known: Mapping[str, Value],
    conditional: _Conditions,
) -> Sequence[_Piece | None]:
    """The pieces of a parent's domain, or None alone where it has no effect."""
    return _pieces(domain, parts) if _active(parent, known, conditional) else [None]


def _pieces(domain: Domain, parts: Sequence[OnParent]) -> list[_Piece]:
    """Parts of a domain whose values are all the same to `parts`."""
    named = [value for part in parts for value in part.values]
    match domain:
        case Choice():
            alike: dict[tuple[bool, ...], list[Value]] = {}
            for value in domain.values:
                alike.setdefault(tuple(part.admits(value) for part in parts), []).append(value)
            return [(Choice(tuple(values)), values[0]) for values in alike.values()]
        case Integer():
            whole = {int(v) for v in named if isinstance(v, (int, float)) and v == int(v)}
            return _split(domain, sorted(v for v in whole if domain.contains(v)))
        case Real():
            inside = sorted({float(v) for v in named if domain.contains(v)})
            single: list[_Piece] = [(Real(v, v, log=domain.log), v) for v in inside]
            if domain.low == domain.high:
                return single or [(domain, domain.low)]
            return [*single, (domain, _between(domain, inside))]
        case _:
            raise TypeError(f"{domain!r} is no domain that can be a parent's")


def _split(domain: Integer, named: Sequence[int]) -> list[_Piece]:
    """The named values alone, and the ranges between them."""
    found: list[_Piece] = []
    low, step = domain.low, domain.step
    for value in named:
        if low < value:
            found.append((Integer(low, value - step, step, domain.log), low))
        found.append((Integer(value, value), value))
        low = value + step
    if low <= domain.high:
        found.append((Integer(low, domain.high, step, domain.log), low))
    return found


def _between(domain: Real, named: Sequence[float]) -> float:
    """A value of an interval that is not named."""
    places = len(named) + 2
    tried = (domain.low + (domain.high - domain.low) * i / places for i in range(places))
    return next((value for value in tried if value not in named), math.nan)
