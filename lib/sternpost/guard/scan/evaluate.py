"""Tests of a project on the package's version and names, computed for one version of it: a few operations, nothing run.

A test is text: an expression in which `VERSION` stands for the version, `HAS('path', ...)` for whether the package has
names, `TAKES('path', 'argument')` for whether something takes an argument, and `THERE` for anything that is no value.
`ARGUMENTS('path')`, a listing of what something takes, only becomes a question where an argument is looked for in it.
"""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

VERSION, HAS, TAKES, THERE = "__package_version__", "__package_has__", "__package_takes__", "__package_value__"
ARGUMENTS = "__package_arguments__"
MARKERS = frozenset({VERSION, HAS, TAKES, ARGUMENTS})

_VERSION_PARTS = ("major", "minor", "micro", "release", "public", "base_version", "is_prerelease", "is_devrelease")
PARSERS = {"Version", "parse", "parse_version", "LooseVersion", "StrictVersion", "V", "SemVer"}
_STRING_METHODS = ("startswith", "endswith", "split", "rsplit", "partition", "rpartition", "strip", "lstrip", "rstrip")
_STRING_TESTS = ("isdigit", "isnumeric", "isdecimal", "lower", "removeprefix", "removesuffix", "replace")
MAX_STEPS = 2_000
MAX_NUMBER = 10**9


class UnclearError(Exception):
    """What an expression gives cannot be told."""


@dataclass
class Evaluation:
    """One version of the package, as tests ask about it. `takes` gives None where that cannot be told."""

    version: str | None
    has: Callable[[str], bool]
    takes: Callable[[str, str], bool | None]
    _known: dict[str, bool | None] = field(default_factory=dict)

    def holds(self, text: str) -> bool | None:
        """Whether a test holds; None where that cannot be told."""
        if text not in self._known:
            try:
                self._known[text] = bool(_Reader(self).value(ast.parse(text, mode="eval").body, {}))
            except (UnclearError, InvalidVersion, InvalidSpecifier, SyntaxError, RecursionError, MemoryError):
                self._known[text] = None
            except (ValueError, TypeError, IndexError, AttributeError, OverflowError):  # as it would go for the project
                self._known[text] = None
        return self._known[text]


class _Reader:
    """Reads one expression."""

    def __init__(self, about: Evaluation) -> None:
        self.about = about
        self.steps = 0

    def value(self, node: ast.expr, names: dict[str, Any]) -> Any:
        self.steps += 1
        read = getattr(self, f"_{type(node).__name__.lower()}", None)
        if read is None or self.steps > MAX_STEPS:
            raise UnclearError
        return read(node, names)

    def _constant(self, node: ast.Constant, names: dict[str, Any]) -> Any:
        return node.value

    def _name(self, node: ast.Name, names: dict[str, Any]) -> Any:
        if node.id == VERSION and self.about.version is not None:
            return self.about.version
        if node.id == THERE:
            return object()
        if node.id not in names:
            raise UnclearError
        return names[node.id]

    def _tuple(self, node: ast.Tuple | ast.List | ast.Set, names: dict[str, Any]) -> Any:
        return tuple(self.value(item, names) for item in node.elts)

    _list = _set = _tuple

    def _unaryop(self, node: ast.UnaryOp, names: dict[str, Any]) -> Any:
        inner = self.value(node.operand, names)
        if isinstance(node.op, ast.Not):
            return not inner
        if isinstance(node.op, ast.USub) and isinstance(inner, int):
            return -inner
        raise UnclearError

    def _binop(self, node: ast.BinOp, names: dict[str, Any]) -> Any:
        left, right = self.value(node.left, names), self.value(node.right, names)
        if not (isinstance(left, int) and isinstance(right, int) and max(abs(left), abs(right)) < MAX_NUMBER):
            raise UnclearError
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Add):
            return left + right
        raise UnclearError

    def _boolop(self, node: ast.BoolOp, names: dict[str, Any]) -> Any:
        """What decides wins, whatever the other parts are."""
        wins, unclear = isinstance(node.op, ast.Or), False
        for part in node.values:
            try:
                if bool(self.value(part, names)) == wins:
                    return wins
            except UnclearError:
                unclear = True
        if unclear:
            raise UnclearError
        return not wins

    def _ifexp(self, node: ast.IfExp, names: dict[str, Any]) -> Any:
        return self.value(node.body if self.value(node.test, names) else node.orelse, names)

    def _compare(self, node: ast.Compare, names: dict[str, Any]) -> Any:
        values = [self.value(part, names) for part in (node.left, *node.comparators)]
        return all(_compared(op, left, right) for op, left, right in zip(node.ops, values, values[1:]))

    def _subscript(self, node: ast.Subscript, names: dict[str, Any]) -> Any:
        base = self.value(node.value, names)
        if not isinstance(base, str | tuple):
            raise UnclearError
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            return base[slice(*(None if part is None else self._number(part, names) for part in parts))]
        return base[self._number(node.slice, names)]

    def _number(self, node: ast.expr, names: dict[str, Any]) -> int:
        value = self.value(node, names)
        if not isinstance(value, int):
            raise UnclearError
        return value

    def _attribute(self, node: ast.Attribute, names: dict[str, Any]) -> Any:
        base = self.value(node.value, names)
        if isinstance(base, Version) and node.attr == "version":
            return base.release  # of the versions that `distutils` had
        if isinstance(base, Version) and node.attr in _VERSION_PARTS:
            return getattr(base, node.attr)
        raise UnclearError

    def _generatorexp(self, node: ast.GeneratorExp | ast.ListComp, names: dict[str, Any]) -> Any:
        generator = node.generators[0]
        if len(node.generators) > 1 or not isinstance(generator.target, ast.Name):
            raise UnclearError
        found = []
        for item in _items(self.value(generator.iter, names)):
            inner = {**names, generator.target.id: item}
            if all(self.value(test, inner) for test in generator.ifs):
                found.append(self.value(node.elt, inner))
        return tuple(found)

    _listcomp = _generatorexp

    def _call(self, node: ast.Call, names: dict[str, Any]) -> Any:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if isinstance(node.func, ast.Attribute) and name in (*_STRING_METHODS, *_STRING_TESTS, "contains"):
            return self._method(self.value(node.func.value, names), name, [self.value(a, names) for a in _plain(node)])
        if name == "map" and len(node.args) == 2 and getattr(node.args[0], "id", "") in ("int", "str"):
            made: Callable[[Any], Any] = {"int": int, "str": str}[getattr(node.args[0], "id", "")]
            return tuple(made(item) for item in _items(self.value(node.args[1], names)))
        values = [self.value(argument, names) for argument in _plain(node)]
        if name == HAS:
            return all(self.about.has(path) for path in values)
        if name == TAKES:
            taken = self.about.takes(*values)
            if taken is None:
                raise UnclearError
            return taken
        if name == "SpecifierSet" and len(values) == 1 and isinstance(values[0], str):
            return SpecifierSet(values[0])
        return self._made(name, values)

    def _made(self, name: str, values: list[Any]) -> Any:
        """What a constructor makes of one value."""
        if len(values) != 1:
            raise UnclearError
        (value,) = values
        if name in PARSERS and isinstance(value, str | Version):
            return value if isinstance(value, Version) else Version(value)
        if name == "str" and isinstance(value, str | int | Version):
            return str(value)
        if name in ("int", "float") and isinstance(value, str | int) and len(str(value)) < 20:
            return int(value) if name == "int" else float(value)
        if name in ("tuple", "list"):
            return tuple(_items(value))
        if name == "len" and isinstance(value, str | tuple):
            return len(value)
        if name == "bool":
            return bool(value)
        raise UnclearError

    def _method(self, base: Any, name: str, values: list[Any]) -> Any:
        if isinstance(base, SpecifierSet) and name == "contains" and len(values) == 1:
            return base.contains(values[0], prereleases=True)
        if not isinstance(base, str) or name == "contains":
            raise UnclearError
        found = getattr(base, name)(*values)
        return tuple(found) if isinstance(found, list) else found


def _plain(node: ast.Call) -> list[ast.expr]:
    """The arguments of a call by position; of those by name only what limits a split."""
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        raise UnclearError
    limit = [keyword.value for keyword in node.keywords if keyword.arg == "maxsplit"]
    if len(limit) < len(node.keywords):
        raise UnclearError
    return [*node.args, *limit]


def _items(value: Any) -> Sequence[Any]:
    if not isinstance(value, str | tuple):
        raise UnclearError
    return value


def _compared(op: ast.cmpop, left: Any, right: Any) -> bool:
    if isinstance(op, ast.Is | ast.IsNot):
        return (left is right) == isinstance(op, ast.Is)
    if isinstance(op, ast.In | ast.NotIn):
        inside = right.contains(left, prereleases=True) if isinstance(right, SpecifierSet) else left in right
        return bool(inside) == isinstance(op, ast.In)
    left, right = _alike(left, right), _alike(right, left)
    if type(left) is not type(right) and not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise UnclearError
    compare = {
        ast.Lt: lambda: left < right,
        ast.LtE: lambda: left <= right,
        ast.Gt: lambda: left > right,
        ast.GtE: lambda: left >= right,
        ast.Eq: lambda: left == right,
        ast.NotEq: lambda: left != right,
    }
    return bool(compare[type(op)]())


def _alike(value: Any, other: Any) -> Any:
    """One of two values that are compared, as what the other is: texts as versions, versions as tuples."""
    if isinstance(value, str) and isinstance(other, str | Version):
        try:
            return Version(value) if isinstance(other, Version) or Version(other) else value
        except InvalidVersion:
            return value
    if isinstance(other, tuple) and isinstance(value, str | Version):
        return Version(str(value)).release
    return value
