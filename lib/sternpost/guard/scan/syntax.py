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


def alternatives(annotation: ast.expr | None, depth: int = 0) -> Iterator[ast.expr]:
    """The names that an annotation allows: through `X | None`, `Optional`, `Union`, `Annotated` and quotes."""
    if annotation is None or depth > 4:
        return
    parts: list[ast.expr] = []
    if isinstance(annotation, ast.Name | ast.Attribute):
        yield annotation
    elif isinstance(annotation, ast.BinOp):
        parts = [annotation.left, annotation.right]
    elif isinstance(annotation, ast.Subscript):
        if last_name(annotation.value) in ("Optional", "Union", "Annotated"):
            parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    elif isinstance(annotation, ast.Constant) and (quoted := unquoted(annotation)) is not None:
        parts = [quoted]
    for part in parts:
        yield from alternatives(part, depth + 1)


def unquoted(annotation: ast.Constant) -> ast.expr | None:
    """The expression in a quoted annotation."""
    if not isinstance(annotation.value, str) or len(annotation.value) > 200:
        return None
    try:
        return ast.parse(annotation.value, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def dotted(node: ast.AST) -> str | None:
    """`a.b.c` as text; None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None
