"""A space out of a Python file, read as data: nothing of the file is run.

The file looks like those of this folder: names with values, and among them `SPACE`. A value is a
literal, one of the names below, or a call of one of them. Imports only say what these are called.
"""

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from spaces import wttf
from spaces.document import KINDS, odd_parts
from spaces.galaxy import points
from spaces.space import Space, nearest

CALLS: dict[str, Callable[..., Any]] = {
    **KINDS,
    "Space": Space,
    "points": points,
    "row": wttf.row,
    "whole_row": wttf.whole_row,
}
CONSTANTS: dict[str, Any] = {
    "SHELL": wttf.SHELL,
    "TRAINING": wttf.TRAINING,
    "TRAINING_CONDITIONS": wttf.TRAINING_CONDITIONS,
    "IMAGE_SIZE": wttf.IMAGE_SIZE,
}
_MOST_BYTES = 1_000_000
_ALLOWED = "a literal, or Space, Integer, Real, Choice, a rule or a condition, called with such"


class _UnreadableError(Exception):
    """A value that was complained about, or depends on one."""


def load(path: Path) -> Space:
    """The `SPACE` of a file.

    Raises:
        ValueError: all mistakes, one a line, each with file and line number.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"{path}: this is no space: it has more than {_MOST_BYTES} bytes")
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except SyntaxError as error:
        raise ValueError(f"{path}:{error.lineno}: {error.msg}") from error
    except (UnicodeDecodeError, RecursionError, MemoryError) as error:
        raise ValueError(f"{path}: this is no Python: {error}") from error
    return _Reader(path).space(tree)


class _Reader:
    """Reads one file; `wrong` collects what is wrong with it."""

    def __init__(self, path: Path):
        self._path = path
        self._called = {name: name for name in (*CALLS, *CONSTANTS)}  # as the file calls them
        self._values: dict[str, Any] = {}
        self._broken: set[str] = set()
        self.wrong: list[str] = []

    def space(self, tree: ast.Module) -> Space:
        for statement in tree.body:
            self._statement(statement)
        found = self._values.get("SPACE")
        if not isinstance(found, Space) and "SPACE" not in self._broken:
            given = "there is none" if found is None else f"it is {found!r}"
            self.wrong.append(f"{self._path}: SPACE must be a Space, and {given}")
        if self.wrong or not isinstance(found, Space):
            raise ValueError("\n".join(self.wrong))
        return found

    def _complain(self, node: ast.AST, said: str) -> _UnreadableError:
        self.wrong.append(f"{self._path}:{getattr(node, 'lineno', 1)}: {said}")
        return _UnreadableError()

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Import() | ast.Expr(value=ast.Constant()):
                pass
            case ast.ImportFrom(names=names):
                self._called |= {n.asname: n.name for n in names if n.asname}
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                try:
                    self._values[name] = self._value(value)
                except _UnreadableError:
                    self._broken.add(name)
            case _:
                said = "this is not read: a file of a space only gives names to values"
                self._complain(node, said)

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return tuple(self._all(parts))
            case ast.Dict(keys=keys, values=values):
                return self._dictionary(keys, values)
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)):
                found = self._value(inner)
                if not isinstance(found, Mapping) or key not in found:
                    raise self._complain(node, f"there is no {key!r} in it")
                return cast(Mapping[Any, Any], found)[key]
            case ast.Name(id=name):
                return self._named(node, name)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(node, self._called.get(name, name))
            case _:
                given = ast.unparse(node)
                short = given if len(given) < 60 else f"{given[:57]}..."
                raise self._complain(node, f"{short} is not read; a value is {_ALLOWED}")

    def _all(self, nodes: list[ast.expr]) -> list[Any]:
        """The values of `nodes`, each of which is read even if one before it cannot be."""
        found: list[Any] = []
        for node in nodes:
            try:
                found.append(self._value(node))
            except _UnreadableError:
                continue
        if len(found) < len(nodes):
            raise _UnreadableError
        return found

    def _dictionary(self, keys: list[ast.expr | None], values: list[ast.expr]) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        read = self._all(values)
        for key, node, value in zip(keys, values, read, strict=True):
            if key is None:
                if not isinstance(value, Mapping):
                    raise self._complain(node, f"** needs a dictionary, given {value!r}")
                found |= cast(Mapping[Any, Any], value)
            else:
                name = self._value(key)
                if not isinstance(name, str):
                    raise self._complain(key, f"a parameter's name is a text, given {name!r}")
                found[name] = value
        return found

    def _named(self, node: ast.AST, name: str) -> Any:
        if name in self._broken:
            raise _UnreadableError
        if name in self._values:
            return self._values[name]
        known = self._called.get(name, name)
        if known in CONSTANTS:
            return CONSTANTS[known]
        hint = nearest(name, [*self._values, *CONSTANTS, *CALLS])
        raise self._complain(node, f"{name} is no value that is known here{hint}")

    def _call(self, node: ast.Call, name: str) -> Any:
        if name not in CALLS:
            hint = nearest(name, list(CALLS))
            raise self._complain(node, f"{name}(...) is not called{hint}; a value is {_ALLOWED}")
        given = self._all([*node.args, *(keyword.value for keyword in node.keywords)])
        named: dict[str, Any] = {}
        for keyword, value in zip(node.keywords, given[len(node.args) :], strict=True):
            named |= value if keyword.arg is None else {keyword.arg: value}
        try:
            made = CALLS[name](*given[: len(node.args)], **named)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise self._complain(node, f"{name}: {error}") from error
        if isinstance(made, Space) and (odd := odd_parts(made)):
            raise self._complain(node, "; ".join(odd))
        return made
