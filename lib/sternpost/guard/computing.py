"""Expressions over literals, computed by the few operations that are listed here; nothing of them is executed."""

import ast
import operator
from collections.abc import Callable
from typing import Any

from .values import MAX_NUMBER

UNKNOWN = object()
"""Stands for a value that only running can tell."""

MAX_SIZE = 1_000
"""Values that a container may hold, at any depth."""

Known = Callable[[ast.expr], Any]
"""What a name stands for, `x` or `self.x`; `UNKNOWN` if it is not known."""

_TESTS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Is: lambda a, b: _is(a, b),
    ast.IsNot: lambda a, b: not _is(a, b),
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "tuple": tuple,
    "set": set,
    "dict": dict,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = _TYPES | {"len": len, "min": min, "max": max, "abs": abs}
METHODS = ("get", "copy", "items", "keys", "values", "lower", "upper", "strip", "startswith", "endswith")
"""Methods of texts and dictionaries that change nothing."""


def compute(node: ast.expr, known: Known) -> Any:
    """The value of an expression, or `UNKNOWN`."""
    try:
        return _compute(node, known)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, MemoryError):
        return UNKNOWN


def _compute(node: ast.expr, known: Known) -> Any:
    def of(part: ast.expr) -> Any:
        value = _compute(part, known)
        if value is UNKNOWN:
            raise LookupError
        return value

    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name | ast.Attribute):
        return known(node)
    if isinstance(node, ast.BoolOp):
        value: Any = None
        for part in node.values:
            value = of(part)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value
    if isinstance(node, ast.IfExp):
        return of(node.body if of(node.test) else node.orelse)
    if isinstance(node, ast.UnaryOp):
        return _unary(node.op, of(node.operand))
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _TESTS[type(node.ops[0])](of(node.left), of(node.comparators[0]))
    if isinstance(node, ast.BinOp):
        value = _ARITHMETIC[type(node.op)](*map(_number, (of(node.left), of(node.right))))
        return value if abs(value) <= MAX_NUMBER else UNKNOWN
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        items = [of(item) for item in node.elts]
        _weigh(items)
        return items if isinstance(node, ast.List) else tuple(items) if isinstance(node, ast.Tuple) else set(items)
    if isinstance(node, ast.Subscript):
        return of(node.value)[of(node.slice)]
    if isinstance(node, ast.Dict) and all(node.keys):
        table = {of(key): of(value) for key, value in zip(node.keys, node.values, strict=True) if key is not None}
        _weigh(table)
        return table
    return _call(node, of) if isinstance(node, ast.Call) and not node.keywords else UNKNOWN


def _weigh(value: Any) -> None:
    """Containers that hold one another can grow endlessly, and comparing them takes as long."""
    ahead = [value]
    for known in ahead:  # grows while it is walked
        if isinstance(known, list | tuple | set | dict):
            ahead += [*known, *known.values()] if isinstance(known, dict) else known
        if len(ahead) > MAX_SIZE:
            raise MemoryError


def _call(node: ast.Call, of: Callable[[ast.expr], Any]) -> Any:
    function = ast.unparse(node.func)
    if function == "isinstance" and len(node.args) == 2 and ast.unparse(node.args[1]) in _TYPES:
        return isinstance(of(node.args[0]), _TYPES[ast.unparse(node.args[1])])
    if function == "getattr" and node.args and name_of(node.args[0]) == "self":
        return of(ast.Attribute(node.args[0], of(node.args[1]), ast.Load()))
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        holder, method = of(node.func.value), node.func.attr
        if isinstance(holder, str | dict) and hasattr(holder, method):
            found = getattr(holder, method)(*map(of, node.args))
            return list(found) if method in ("items", "keys", "values") else found
    return _FUNCTIONS[function](*map(of, node.args)) if function in _FUNCTIONS else UNKNOWN


def _unary(op: ast.unaryop, value: Any) -> Any:
    if isinstance(op, ast.Not):
        return not value
    return -_number(value) if isinstance(op, ast.USub) else UNKNOWN


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_NUMBER:
        raise TypeError
    return value


def _is(one: Any, other: Any) -> bool:
    """Of anything but None and truth values nobody can read whether it is the same object."""
    if not any(value is None or isinstance(value, bool) for value in (one, other)):
        raise LookupError
    return one is other


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one type."""
    return type(one) is type(other) and bool(one == other)


def name_of(node: ast.AST) -> str:
    """`x` or `self.x`; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return f"self.{node.attr}" if isinstance(node.value, ast.Name) and node.value.id == "self" else ""
    return node.id if isinstance(node, ast.Name) else ""
