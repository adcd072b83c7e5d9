"""Conditions around a contact: version gates, tests for presence, handled exceptions."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from .contacts import Guard
from .evaluate import PARSERS, VERSION, Evaluation
from .syntax import last_name

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
_VERSION = re.compile(r"v?\d[\w.]{0,40}")
_NAMED_AT_LEAST = re.compile(r"(greater|min|at_?least|gte?|ge)(_|$)|_or_(later|newer|greater|higher)")
_FREE = Guard()
_CATCHES_IMPORT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException", "RuntimeError", "*"}
_CATCHES_ATTRIBUTE = {"AttributeError", "Exception", "BaseException", "*"}
_CATCHES_TYPE = {"TypeError", "Exception", "BaseException", "*"}

Meaning = Callable[[str], ast.expr | None]
"""The expression that a plain name was assigned, if that can be told."""
Close = Callable[[ast.expr], str]
"""A test as `evaluate` reads it; empty if it asks nothing of the package."""
_SAMPLE = Evaluation("1.0", lambda path: True, lambda path, name: True)


def conditions(
    test: ast.expr, package: str, meaning: Meaning, holds: bool = True, close: Close = lambda test: "", depth: int = 0
) -> Guard:
    """What is known where a test holds (or fails)."""
    if depth > 8:
        return Guard()
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return conditions(test.operand, package, meaning, not holds, close, depth + 1)
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) == holds:
        guard = Guard()
        for value in test.values:
            guard = join(guard, conditions(value, package, meaning, holds, close, depth + 1))
        return guard
    text = close(test)
    gate = _direct(text) if text else None
    if gate is not None:
        return _gated(gate, holds)
    known = _named(test, package, meaning, holds, depth)
    if text and _SAMPLE.holds(text) is not None:
        return Guard(tests=((text, holds),), present=known.present)
    return known if known.gates or VERSION not in text else Guard(tests=((text, holds),))


def _named(test: ast.expr, package: str, meaning: Meaning, holds: bool, depth: int) -> Guard:
    """What a test says by the names that it uses."""
    if isinstance(test, ast.Name):
        meant = meaning(test.id)
        return conditions(meant, package, meaning, holds, depth=depth + 1) if meant is not None else Guard()
    if isinstance(test, ast.BoolOp):
        return Guard()
    gate = _gate(test, package, meaning)
    if gate is not None:
        return _gated(gate, holds)
    return Guard(present=frozenset(_looked_for(test)) if holds else frozenset())


def _gated(gate: tuple[str, str], holds: bool) -> Guard:
    operator, version = gate
    return Guard(gates=((operator if holds else _OPPOSITE[operator], version),))


def _direct(text: str) -> tuple[str, str] | None:
    """Operator and version, where a test compares the version itself with another."""
    test = ast.parse(text, mode="eval").body
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or type(test.ops[0]) not in _OPERATORS:
        return None
    operator = _OPERATORS[type(test.ops[0])]
    left, right = _unwrapped(test.left), _unwrapped(test.comparators[0])
    for subject, value, op in ((left, right, operator), (right, left, _MIRRORED[operator])):
        if isinstance(subject, ast.Name) and subject.id == VERSION and isinstance(value, ast.Constant):
            return (op, value.value) if isinstance(value.value, str) and is_version(value.value) else None
    return None


def _unwrapped(node: ast.expr) -> ast.expr:
    """Without what makes a version of a text."""
    if isinstance(node, ast.Call) and len(node.args) == 1 and last_name(node.func) in PARSERS:
        return _unwrapped(node.args[0])
    return node


def is_version(text: str) -> bool:
    """Whether a text is spelled like a version."""
    if not _VERSION.fullmatch(text):
        return False
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


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
        outer.tests + tuple(t for t in inner.tests if t not in outer.tests),
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
        versions = [word for word in words if is_version(word)]
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
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_version(node.value):
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
