"""A space as plain values that JSON holds, and back: a plan keeps it so."""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from spaces.conditions import AnyOf, In, NotIn
from spaces.domains import Choice, Domain, Integer, Real
from spaces.point import Point
from spaces.rules import AtMost, Divides, PatchDivides
from spaces.space import Space

Document = dict[str, Any]
_KIND = "kind"
KINDS = {
    kind.__name__: kind
    for kind in (Integer, Real, Choice, Divides, AtMost, PatchDivides, In, NotIn, AnyOf, Point)
}
_PARTS = tuple(field.name for field in dataclasses.fields(Space))


def written(space: Space) -> Document:
    """The document of a space."""
    return {name: _written(getattr(space, name)) for name in _PARTS}


def written_domain(domain: Domain) -> Document:
    return _written(domain)


def read(document: Mapping[str, Any]) -> Space:
    """The space that `written` wrote. Raises ValueError if it wrote no such document."""
    try:
        found = Space(**{name: _read(document[name]) for name in _PARTS if name in document})
        wrong = odd_parts(found)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no document of a space: {error}") from error
    if wrong:
        raise ValueError("; ".join(wrong))
    return found


def read_domain(document: Mapping[str, Any]) -> Domain:
    """Raises ValueError if `written_domain` wrote no such document."""
    try:
        found = _read(document)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no document of a domain: {error}") from error
    if not isinstance(found, (Integer, Real, Choice)):
        raise ValueError(f"no document of a domain: {document!r}")
    return found


def odd_parts(space: Space) -> list[str]:
    """What a space cannot hold, though it was given it."""
    domains, values = (Integer, Real, Choice), (bool, int, float, str)
    wrong = [
        f"{name} must be an Integer, a Real or a Choice, given {domain!r} (constants are `fixed`)"
        for name, domain in space.params.items()
        if not isinstance(domain, domains)
    ]
    wrong += [
        f"fixed {name} must be a number, a text, True or False, given {value!r}"
        for name, value in cast(Mapping[str, object], space.fixed).items()
        if not isinstance(value, values)
    ]
    known = (Divides, AtMost, PatchDivides)
    wrong += [f"{rule!r} is no rule" for rule in space.rules if not isinstance(rule, known)]
    published = cast(tuple[object, ...], space.published)
    points = [point for point in published if not isinstance(point, Point)]
    return wrong + [f"{point!r} is no published point" for point in points]


def changes(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is otherwise in the document of another space, part by part."""
    found: list[str] = []
    for name in sorted(earlier.keys() | now.keys()):
        one, other = earlier.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict) and _KIND not in one:
            inside = changes(cast(Document, one), cast(Document, other))
            found += [f"{name}.{change}" for change in inside]
        elif one != other:
            found.append(f"{name}: was {one!r}, now {other!r}")
    return found


def _written(part: Any) -> Any:
    if dataclasses.is_dataclass(part):
        fields = {f.name: _written(getattr(part, f.name)) for f in dataclasses.fields(part)}
        return {_KIND: type(part).__name__, **fields}
    if isinstance(part, Mapping):
        return {name: _written(value) for name, value in cast(Mapping[str, Any], part).items()}
    if isinstance(part, tuple):
        return [_written(value) for value in cast(tuple[Any, ...], part)]
    return part


def _read(part: Any) -> Any:
    if isinstance(part, list):
        return tuple(_read(value) for value in cast(list[Any], part))
    if not isinstance(part, dict):
        return part
    named = {name: _read(value) for name, value in cast(Document, part).items()}
    return KINDS[named.pop(_KIND)](**named) if _KIND in named else named
