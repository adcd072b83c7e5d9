"""Annotations: one spelling for each type, and the values that a `Literal` accepts."""

import ast
from collections.abc import Iterator

import griffe

from .resolve import External, Resolver
from .values import Folder, parse_expression, shorten

_SPELLINGS = {name: name.lower() for name in ("List", "Dict", "Tuple", "Set", "FrozenSet", "Type")} | {"Text": "str"}
_TRANSPARENT = {"Annotated", "ClassVar", "Final", "InitVar", "Required", "NotRequired"}
"""Forms whose first argument is the type."""
_CONTAINERS = {"Optional", "Union", "Iterable", "Sequence", "list", "List", "set", "Set", "tuple", "Tuple", "frozenset"}
"""Forms whose arguments are accepted values: `Sequence[Literal["a"]]` accepts "a" as an item."""


def type_text(annotation: str | griffe.Expr | None, scope: griffe.Object, resolver: Resolver) -> str | None:
    """The type in one spelling, so that rewriting an annotation in a newer style changes nothing.

    `Optional[X]`, `Union`, quotes, `typing.` prefixes, module paths and the order of alternatives are normalised;
    a `Literal`, written out or named, becomes the type of its values.
    """
    node = parse_expression(str(annotation)) if annotation is not None else None
    if node is None:
        return None
    try:
        return shorten(_join(_alternatives(node, scope, resolver, 0)))
    except RecursionError:
        return None


def choices(annotation: str | griffe.Expr | None, scope: griffe.Object, resolver: Resolver) -> list[str]:
    """The literal values that an annotation accepts, as source text, in order; empty if it is not limited to any."""
    node = parse_expression(str(annotation)) if annotation is not None else None
    if node is None:
        return []
    try:
        return list(dict.fromkeys(_literals(node, scope, resolver, 0)))
    except RecursionError:
        return []


def _alternatives(node: ast.expr, scope: griffe.Object, resolver: Resolver, depth: int) -> list[str]:
    """The members of a union, each in its one spelling."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [
            *_alternatives(node.left, scope, resolver, depth),
            *_alternatives(node.right, scope, resolver, depth),
        ]
    if isinstance(node, ast.Constant):
        inner = parse_expression(node.value) if isinstance(node.value, str) else None
        return [ast.unparse(node)] if inner is None else _alternatives(inner, scope, resolver, depth)
    if isinstance(node, ast.Name | ast.Attribute):
        alias = _alias(node, scope, resolver)
        if alias is not None and depth < 20:
            return _alternatives(alias[0], alias[1], resolver, depth + 1)
        return [_SPELLINGS.get(_last(node), _last(node))]
    if isinstance(node, ast.Subscript):
        return _subscript(node, scope, resolver, depth)
    if isinstance(node, ast.List):
        return [f"[{', '.join(_join(_alternatives(item, scope, resolver, depth)) for item in node.elts)}]"]
    return [ast.unparse(node)]


def _subscript(node: ast.Subscript, scope: griffe.Object, resolver: Resolver, depth: int) -> list[str]:
    form, arguments = _last(node.value), _arguments(node)
    if form == "Literal":
        return sorted({type(ast.literal_eval(value)).__name__ for value in _literals(node, scope, resolver, depth)})
    if form == "Union":
        return [part for item in arguments for part in _alternatives(item, scope, resolver, depth)]
    if form == "Optional":
        return [*_alternatives(node.slice, scope, resolver, depth), "None"]
    if form in _TRANSPARENT and arguments:
        return _alternatives(arguments[0], scope, resolver, depth)
    inner = ", ".join(_join(_alternatives(item, scope, resolver, depth)) for item in arguments)
    return [f"{_SPELLINGS.get(form, form)}[{inner}]"]


def _join(alternatives: list[str]) -> str:
    """Sorted, each once, None last."""
    parts = sorted({"None" if part == "NoneType" else part for part in alternatives})
    return " | ".join(sorted(parts, key=lambda part: part == "None"))


def _literals(node: ast.expr, scope: griffe.Object, resolver: Resolver, depth: int) -> Iterator[str]:
    """Every value of every `Literal` in an annotation, through named aliases."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        inner = parse_expression(node.value)
        if inner is not None and depth < 20:
            yield from _literals(inner, scope, resolver, depth + 1)
    elif isinstance(node, ast.Name | ast.Attribute):
        alias = _alias(node, scope, resolver)
        if alias is not None and depth < 20:
            yield from _literals(alias[0], alias[1], resolver, depth + 1)
    elif isinstance(node, ast.BinOp):
        yield from _literals(node.left, scope, resolver, depth)
        yield from _literals(node.right, scope, resolver, depth)
    elif isinstance(node, ast.Subscript):
        form, arguments = _last(node.value), _arguments(node)
        if form == "Literal":
            yield from _literal_values(Folder(scope, resolver).visit(node.slice))
        elif form in _TRANSPARENT | _CONTAINERS:
            for item in arguments[:1] if form in _TRANSPARENT else arguments:
                yield from _literals(item, scope, resolver, depth)


def _literal_values(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Tuple | ast.List):
        for item in node.elts:
            yield from _literal_values(item.value if isinstance(item, ast.Starred) else item)
    elif isinstance(node, ast.Constant | ast.UnaryOp):
        yield ast.unparse(node)


def _alias(node: ast.expr, scope: griffe.Object, resolver: Resolver) -> tuple[ast.expr, griffe.Object] | None:
    """The expression behind the name of a type alias of this package, and the scope to read it in."""
    dotted = ast.unparse(node)
    found = resolver.lookup(dotted, scope)
    if isinstance(found, External) or not isinstance(found, griffe.Attribute) or found.value is None:
        return None
    value = parse_expression(str(found.value))
    if found.parent is None or not isinstance(value, ast.Subscript | ast.BinOp | ast.Name | ast.Attribute):
        return None
    return value, found.parent


def _arguments(node: ast.Subscript) -> list[ast.expr]:
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else ast.unparse(node)
