"""Conditions around a contact: version gates, tests for presence, handled exceptions."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from .contacts import Guard

_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_VERSION = re.compile(r"v?\d+(\.\d+)*([a-z.]*\d*)*")
_NAMED_AT_LEAST = re.compile(r"(greater|min|at_?least|gte?|ge)(_|$)|_or_(later|newer|greater|higher)")
_FREE = Guard()
_CATCHES_IMPORT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException", "RuntimeError", "*"}
_CATCHES_ATTRIBUTE = {"AttributeError", "Exception", "BaseException", "*"}
_CATCHES_TYPE = {"TypeError", "Exception", "BaseException", "*"}

Meaning = Callable[[str], ast.expr | None]
"""The expression that a plain name was assigned, if that can be told."""


def conditions(test: ast.expr, package: str, meaning: Meaning, holds: bool = True, depth: int = 0) -> Guard:
    """What is known where a test holds (or fails)."""
    if depth > 8:
        return Guard()
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return conditions(test.operand, package, meaning, not holds, depth + 1)
    if isinstance(test, ast.BoolOp):
        if isinstance(test.op, ast.And) == holds:
            guard = Guard()
            for value in test.values:
                guard = join(guard, conditions(value, package, meaning, holds, depth + 1))
            return guard
        return Guard()
    if isinstance(test, ast.Name):
        meant = meaning(test.id)
        return conditions(meant, package, meaning, holds, depth + 1) if meant is not None else Guard()
    gate = _gate(test, package, meaning)
    if gate is not None:
        operator, version = gate
        return Guard(gates=((operator if holds else _OPPOSITE[operator], version),))
    return Guard(present=frozenset(_looked_for(test)) if holds else frozenset())


def join(outer: Guard, inner: Guard) -> Guard:
    """Both."""
    if inner == _FREE or outer == _FREE:
        return outer if inner == _FREE else inner
    return Guard(
        outer.gates + tuple(g for g in inner.gates if g not in outer.gates),
        outer.present | inner.present,
        outer.caught | inner.caught,
        outer.instead + inner.instead,
        outer.failed + inner.failed,
    )


def _gate(test: ast.expr, package: str, meaning: Meaning) -> tuple[str, str] | None:
    """Operator and version of a comparison of the package's version."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in _OPERATORS:
        operator = _OPERATORS[type(test.ops[0])]
        left, right = test.left, test.comparators[0]
        for subject, value, op in ((left, right, operator), (right, left, _MIRRORED[operator])):
            version = version_in(value)
            if version and is_version_of(subject, package, meaning):
                return op, version
    if isinstance(test, ast.Call) and mentions(test, package):
        texts = [a.value for a in [*test.args, *(k.value for k in test.keywords)] if isinstance(a, ast.Constant)]
        words = [text for text in texts if isinstance(text, str)]
        for word in words:
            found = _requirement(word, package)
            if found is not None:
                return found
        operators = [word for word in words if word in _OPPOSITE]
        versions = [word for word in words if _VERSION.fullmatch(word)]
        name = ast.unparse(test.func).lower()
        if versions and (operators or _NAMED_AT_LEAST.search(name)):
            return (operators[0] if operators else ">="), versions[0]
    return None


def _requirement(word: str, package: str) -> tuple[str, str] | None:
    """`trl>=0.8` or `>=0.8` as one condition."""
    rest = word.removeprefix(package).strip()
    if rest[:1] not in ("<", ">", "=", "!"):
        return None
    try:
        specifiers = list(SpecifierSet(rest))
    except InvalidSpecifier:
        return None
    if len(specifiers) == 1 and specifiers[0].operator in _OPPOSITE:
        return specifiers[0].operator, specifiers[0].version
    return None


def version_in(node: ast.expr) -> str | None:
    """The version of `"0.9"`, `Version("0.9")` or `(0, 9)`."""
    if isinstance(node, ast.Call) and len(node.args) == 1:
        return version_in(node.args[0])
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _VERSION.fullmatch(node.value):
        return node.value
    if isinstance(node, ast.Tuple) and node.elts:
        parts = [e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, int)]
        return ".".join(str(part) for part in parts) if len(parts) == len(node.elts) else None
    return None


def mentions(node: ast.AST, package: str) -> bool:
    """Whether the package's name stands in an expression, as a name, a part of one, or a string."""
    package = package.lower()
    word = _word(package)
    for part in ast.walk(node):
        text = part.id if isinstance(part, ast.Name) else part.attr if isinstance(part, ast.Attribute) else None
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and len(part.value) < 60:
            text = part.value
        if text is not None and package in text.lower() and word.search(text.lower()):
            return True
    return False


@cache
def _word(package: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9]){re.escape(package)}(?![a-z0-9])")


def is_version_of(node: ast.expr, package: str, meaning: Meaning, depth: int = 0) -> bool:
    """Whether an expression is (made of) the version of the package."""
    if version_in(node) is not None:
        return False
    if mentions(node, package):
        return True
    for part in ast.walk(node) if depth < 4 else ():
        if isinstance(part, ast.Name) and (meant := meaning(part.id)) is not None:
            if is_version_of(meant, package, meaning, depth + 1):
                return True
    return False


def _looked_for(test: ast.expr) -> Iterator[str]:
    """Names that are known to be there when a test holds."""
    if isinstance(test, ast.Call):
        name = test.func.attr if isinstance(test.func, ast.Attribute) else getattr(test.func, "id", "")
        texts = [a.value for a in test.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if name in ("hasattr", "find_spec", "callable", "getattr", "import_module", "is_package_available"):
            yield from texts
    elif isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.In):
        if isinstance(test.left, ast.Constant) and isinstance(test.left.value, str):
            yield test.left.value


def handled(node: ast.Try | ast.TryStar) -> frozenset[str]:
    """The exceptions that handlers take care of: not those that are raised again."""
    caught: set[str] = set()
    for handler in node.handlers:
        if not any(isinstance(statement, ast.Raise) for statement in handler.body):
            caught |= exception_names(handler.type)
    return frozenset(caught)


def exception_names(node: ast.expr | None) -> set[str]:
    if node is None:
        return {"*"}
    items = node.elts if isinstance(node, ast.Tuple) else [node]
    return {item.attr if isinstance(item, ast.Attribute) else getattr(item, "id", "") for item in items}


def handles(guard: Guard, kind: str) -> bool:
    """Whether the project goes on when this kind of contact fails."""
    if kind == "import":
        return bool(guard.caught & _CATCHES_IMPORT)
    if kind in ("call", "option"):
        return bool(guard.caught & _CATCHES_TYPE)
    return bool(guard.caught & (_CATCHES_ATTRIBUTE | _CATCHES_IMPORT))


def reached(guard: Guard, version: str | None) -> bool:
    """Whether a place is reached with this version of the package."""
    if version is None or not guard.gates:
        return True
    try:
        have = Version(version)
    except InvalidVersion:
        return True
    for operator, text in guard.gates:
        try:
            wanted = Version(text)
        except InvalidVersion:
            continue
        holds = {
            "<": have < wanted,
            "<=": have <= wanted,
            ">": have > wanted,
            ">=": have >= wanted,
            "==": have == wanted,
            "!=": have != wanted,
        }[operator]
        if not holds:
            return False
    return True
