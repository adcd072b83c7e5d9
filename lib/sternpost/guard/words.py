"""Words in syntax trees: names, strings, and what a message announces."""

import ast
import re

_DUE = re.compile(r"\bv?(\d+\.\d+(?:\.\d+)?)\b")


def announced(message: str) -> str | None:
    """The version that a deprecation names as the one that removes."""
    tail = re.split(r"remov|drop|no longer|unsupported|error", message, maxsplit=1, flags=re.I)
    found = _DUE.search(tail[1]) if len(tail) > 1 else None
    found = found or _DUE.search(message)
    return found[1] if found else None


_STATED = {
    "since": ("since", "deprecated_in", "deprecated_since"),
    "until": ("remove_in", "removed_in", "removal", "removal_version", "remove_by", "until", "removal_in"),
    "use": ("use", "use_instead", "alternative", "replacement", "instead", "new_name", "substitute"),
}
"""What helpers of different projects call the facts of a deprecation."""


def deprecation_stated(call: ast.Call) -> dict[str, str]:
    """`since`, `until` and `use` of a helper that is told them by name; nothing if it is not told when something goes.

    `deprecated("x", since="0.2", remove_in="0.4", use="y")`, as a call or as a decorator.
    """
    stated = {}
    for keyword in call.keywords:
        detail = next((detail for detail, names in _STATED.items() if keyword.arg in names), None)
        value = text_of(keyword.value)
        if detail and value and "*" not in value:
            stated[detail] = value
    return stated if "until" in stated else {}


def mentions_call(body: list[ast.stmt]) -> bool:
    """Whether something is called for its effect, which may be a warning."""
    return any(isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) for statement in body)


def text_of(node: ast.expr | None) -> str | None:
    """A string with `*` for what an f-string puts in; None if it is no string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = (str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
        return re.sub(r"\*+", "*", "".join(parts))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text_of(node.left), text_of(node.right)
        return None if left is None and right is None else f"{'*' if left is None else left}{right or '*'}"
    return None


def last_of(node: ast.AST | None) -> str:
    """The last part of a dotted name; empty if it is none."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
