"""Small questions to a syntax tree."""

import ast
from collections.abc import Iterator


def strings(node: ast.expr) -> Iterator[str]:
    """The string of a literal, or the strings of a literal list or tuple."""
    items = node.elts if isinstance(node, ast.List | ast.Tuple | ast.Set) else [node]
    for item in items:
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            yield item.value


def tuple_size(target: ast.expr) -> int | None:
    """How many values an assignment takes apart; None if it takes what comes."""
    if not isinstance(target, ast.Tuple | ast.List) or any(isinstance(item, ast.Starred) for item in target.elts):
        return None
    return len(target.elts)


def last_name(node: ast.AST) -> str:
    """The last part of a name; empty for what is none."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def dotted(node: ast.AST) -> str | None:
    """`a.b.c` as text; None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None
