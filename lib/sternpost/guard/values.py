"""Expressions of defaults and contracts, computed as far as that can be done by reading."""

import ast
import hashlib
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeGuard

import griffe

from .resolve import Resolver

MAX_TEXT = 160
"""Longer values are cut, and a digest keeps them apart."""

MAX_INLINED = 2_000
"""Nodes put in place of names in one expression: constants that are made of one another can double endlessly."""

_ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
MAX_NUMBER = 10**18


def value_text(expression: str | griffe.Expr, scope: griffe.Object, resolver: Resolver) -> str:
    """A default as text: constants looked up and computed, quotes and spacing normalised."""
    text = str(expression)
    if text in ("None", "True", "False") or (text.isascii() and text.isdigit() and text[0] != "0"):
        return text
    key = ("value", scope.path, text)
    if key not in resolver.texts:
        resolver.texts[key] = _value_text(text, scope, resolver)
    return resolver.texts[key] or ""


def _value_text(text: str, scope: griffe.Object, resolver: Resolver) -> str:
    node = parse_expression(text)
    if node is None:
        return shorten(" ".join(text.split()))
    try:
        return shorten(ast.unparse(Folder(scope, resolver).visit(node)))
    except (RecursionError, ValueError):
        return shorten(" ".join(text.split()))


def literal(expression: str | griffe.Expr | None, scope: griffe.Object, resolver: Resolver) -> Any:
    """The value of an expression made of literals and named constants; None if it is not."""
    node = parse_expression(str(expression)) if expression is not None else None
    if node is None:
        return None
    try:
        return ast.literal_eval(Folder(scope, resolver).visit(node))
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None


def parse_expression(text: str) -> ast.expr | None:
    """The tree of an expression; None if it cannot be parsed."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def shorten(text: str) -> str:
    """The text, or its beginning with a digest of all of it."""
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[: MAX_TEXT - 20]}...#{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:12]}"


class Folder(ast.NodeTransformer):
    """Replaces names of constants by their literal values, and arithmetic on numbers by its result."""

    def __init__(self, scope: griffe.Object, resolver: Resolver) -> None:
        self.scope = scope
        self.resolver = resolver
        self.inlined = 0

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._constant(node.id) or node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        dotted = ast.unparse(node)
        return (self._constant(dotted) if dotted.replace(".", "").isidentifier() else None) or node

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        return node  # its names are its own

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        node.left, node.right = self.visit(node.left), self.visit(node.right)
        left, right = _number(node.left), _number(node.right)
        if left is None or right is None:
            return node
        try:
            if isinstance(node.op, ast.Pow) and abs(right) <= 64:
                result = left**right
            elif (
                isinstance(node.op, ast.LShift)
                and isinstance(left, int)
                and isinstance(right, int)
                and 0 <= right <= 64
            ):
                result = left << right
            elif type(node.op) in _ARITHMETIC:
                result = _ARITHMETIC[type(node.op)](left, right)
            else:
                return node
        except (ArithmeticError, ValueError, TypeError):
            return node
        return ast.Constant(result) if _is_number(result) and abs(result) <= MAX_NUMBER else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        node.operand = self.visit(node.operand)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "frozenset" and len(node.args) == 1:
            return node.args[0] if isinstance(node.args[0], ast.Set | ast.Tuple | ast.List) else node
        if ast.unparse(node.func) == "len" and len(node.args) == 1 and isinstance(node.args[0], ast.Constant):
            value = node.args[0].value
            return ast.Constant(len(value)) if isinstance(value, str | bytes) else node
        return node

    def _constant(self, name: str) -> ast.expr | None:
        """The literal that a name stands for, as long as what is put in place of names stays small."""
        found = self.resolver.lookup(name, self.scope)
        if not isinstance(found, griffe.Attribute) or found.value is None or found.parent is None:
            return None
        key = ("constant", found.path)
        if key not in self.resolver.memo:
            self.resolver.memo[key] = None  # what a constant finds that is made of itself
            self.resolver.memo[key] = _constant(str(found.value), Folder(found.parent, self.resolver))
        known = self.resolver.memo[key]
        if not isinstance(known, Constant) or self.inlined + known.size > MAX_INLINED:
            return None
        self.inlined += known.size
        return known.node


@dataclass(frozen=True)
class Constant:
    """A literal, and how many nodes it has."""

    node: ast.expr
    size: int


def _constant(text: str, folder: Folder) -> Constant | None:
    """The literal that an assigned expression comes to; None if it comes to none."""
    node = parse_expression(text)
    if node is None:
        return None
    try:
        size = sum(1 for _ in ast.walk(node))
        folded = folder.visit(node)
        ast.literal_eval(folded)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None
    return Constant(folded, size + folder.inlined)


def _number(node: ast.expr) -> int | float | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    value = node.value if isinstance(node, ast.Constant) else None
    return value if _is_number(value) and abs(value) <= MAX_NUMBER else None


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same_value(old: str | None, new: str | None) -> bool:
    """Whether two defaults, as text, are the same value: `5` and `5.0` are, `0` and `False` are not."""
    if old is None or new is None or old == new:
        return old == new
    try:
        first, second = ast.literal_eval(old), ast.literal_eval(new)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    if _is_number(first) and _is_number(second):
        return bool(first == second)
    return type(first) is type(second) and repr(first) == repr(second)


def is_data(text: str) -> bool:
    """Whether a value, as text, is a number, a text or a container of such: nothing that can be called.

    None is not told: it may only stand for what is set later.
    """
    try:
        return ast.literal_eval(text) not in (None, ...)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
