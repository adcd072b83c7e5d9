"""Annotations: one spelling for each type, and the values that a `Literal` accepts."""

import ast
from collections.abc import Iterator

import griffe

from .resolve import Resolver
from .values import Folder, parse_expression, shorten

_SPELLINGS = {name: name.lower() for name in ("List", "Dict", "Tuple", "Set", "FrozenSet", "Type")} | {"Text": "str"}
_TRANSPARENT = {"Annotated", "ClassVar", "Final", "InitVar", "Required", "NotRequired"}
"""Forms whose first argument is the type."""
_CONTAINERS = {"Optional", "Union", "Iterable", "Sequence", "list", "List", "set", "Set", "tuple", "Tuple", "frozenset"}
"""Forms whose arguments are accepted values: `Sequence[Literal["a"]]` accepts "a" as an item."""


def type_text(annotation: str | griffe.Expr | None, scope: griffe.Object, resolver: Resolver) -> str | None:
    """The type in one spelling, so that rewriting an annotation in a newer style changes nothing.

    `Optional[X]`, `Union`, quotes, `typing.` prefixes, module paths and the order of alternatives are normalised;
    a `Literal`, written out or named, becomes the type of its values. Aliases are expanded unless they are recursive.
    """
    if annotation is None:
        return None
    key = ("type", scope.path, str(annotation))  # a base's annotations are asked for again for each class that inherits
    if key not in resolver.texts:
        resolver.texts[key] = _type_text(key[2], scope, resolver)
    return resolver.texts[key]


def _type_text(text: str, scope: griffe.Object, resolver: Resolver) -> str | None:
    node = parse_expression(text)
    try:
        return shorten(_join(Reader(scope, resolver).alternatives(node))) if node is not None else None
    except RecursionError:
        return None


def choices(annotation: str | griffe.Expr | None, scope: griffe.Object, resolver: Resolver) -> list[str]:
    """The literal values that an annotation accepts, as source text, in order; empty if it is not limited to any."""
    text = str(annotation) if annotation is not None else ""
    node = parse_expression(text) if text and not _is_plain(text) else None
    try:
        return list(dict.fromkeys(Reader(scope, resolver).literals(node))) if node is not None else []
    except RecursionError:
        return []


def strings_in(table: griffe.Attribute, resolver: Resolver) -> list[str]:
    """The strings that a constant lists: keys of a dictionary, items of a sequence, values of a `Literal`."""
    node = parse_expression(str(table.value))
    found = choices(str(table.value), table.parent or table.module, resolver)
    items: list[ast.expr | None] = []
    if isinstance(node, ast.Dict):
        items = node.keys
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        items = list(node.elts)
    elif isinstance(node, ast.Call) and _last(node.func) in ("frozenset", "set", "tuple", "dict") and node.args:
        items = list(getattr(node.args[0], "elts", ()))
    texts = [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return texts or [value for text in found if isinstance(value := ast.literal_eval(text), str)]


def _is_plain(text: str) -> bool:
    """A builtin type, which limits nothing."""
    return text in ("str", "int", "float", "bool", "dict", "list", "tuple", "None", "Any")


class Reader:
    """Reads annotations in one scope. What an alias stands for is read once for all of them."""

    def __init__(self, scope: griffe.Object, resolver: Resolver) -> None:
        self.scope = scope
        self.resolver = resolver

    def alternatives(self, node: ast.expr) -> list[str]:
        """The members of a union, each in its one spelling."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return [*self.alternatives(node.left), *self.alternatives(node.right)]
        if isinstance(node, ast.Constant):
            inner = parse_expression(node.value) if isinstance(node.value, str) else None
            return [ast.unparse(node)] if inner is None else self.alternatives(inner)
        if isinstance(node, ast.Name | ast.Attribute):
            alias = self.alias(node)
            return alias.types() if alias is not None else [_SPELLINGS.get(_last(node), _last(node))]
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.List):
            return [f"[{', '.join(_join(self.alternatives(item)) for item in node.elts)}]"]
        return [ast.unparse(node)]

    def _subscript(self, node: ast.Subscript) -> list[str]:
        form, arguments = _last(node.value), _arguments(node)
        if form == "Literal":
            return sorted({type(ast.literal_eval(value)).__name__ for value in self.literals(node)})
        if form == "Union":
            return [part for item in arguments for part in self.alternatives(item)]
        if form == "Optional":
            return [*self.alternatives(node.slice), "None"]
        if form in _TRANSPARENT and arguments:
            return self.alternatives(arguments[0])
        inner = ", ".join(_join(self.alternatives(item)) for item in arguments)
        return [f"{_SPELLINGS.get(form, form)}[{inner}]"]

    def literals(self, node: ast.expr) -> Iterator[str]:
        """Every value of every `Literal` in an annotation, through named aliases."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            inner = parse_expression(node.value)
            if inner is not None and not isinstance(inner, ast.Constant):
                yield from self.literals(inner)
        elif isinstance(node, ast.Name | ast.Attribute):
            alias = self.alias(node)
            yield from alias.values() if alias is not None else ()
        elif isinstance(node, ast.BinOp):
            yield from self.literals(node.left)
            yield from self.literals(node.right)
        elif isinstance(node, ast.Subscript):
            form, arguments = _last(node.value), _arguments(node)
            if form == "Literal":
                yield from _literal_values(Folder(self.scope, self.resolver).visit(node.slice))
            elif form in _TRANSPARENT | _CONTAINERS:
                for item in arguments[:1] if form in _TRANSPARENT else arguments:
                    yield from self.literals(item)

    def alias(self, node: ast.expr) -> "TypeAlias | None":
        """The type alias of this package that a name stands for, unless it is made of itself."""
        found = self.resolver.lookup(ast.unparse(node), self.scope)
        if not isinstance(found, griffe.Attribute) or found.value is None or found.parent is None:
            return None
        key = ("alias", found.path)
        if key not in self.resolver.memo:
            value = parse_expression(str(found.value))
            is_type = isinstance(value, ast.Subscript | ast.BinOp | ast.Name | ast.Attribute)
            self.resolver.memo[key] = None  # what a recursive alias finds of itself
            alias = TypeAlias(value, Reader(found.parent, self.resolver)) if value is not None and is_type else None
            self.resolver.memo[key] = None if alias is None or self._is_recursive(found.path, alias) else alias
        known = self.resolver.memo[key]
        return known if isinstance(known, TypeAlias) else None

    def _is_recursive(self, path: str, alias: "TypeAlias") -> bool:
        """Whether the alias comes up in what it stands for: then it has no end."""
        seen, ahead = set(), [alias]
        while ahead:
            for other_path, other in ahead.pop().parts():
                if other_path == path:
                    return True
                if other_path not in seen:
                    seen.add(other_path)
                    ahead.append(other)
        return False


class TypeAlias:
    """What a name of a type stands for, in the scope where it is defined."""

    def __init__(self, node: ast.expr, reader: Reader) -> None:
        self.node = node
        self.reader = reader
        self._types: list[str] | None = None
        self._values: list[str] | None = None

    def types(self) -> list[str]:
        if self._types is None:
            self._types = list(dict.fromkeys(shorten(text) for text in self.reader.alternatives(self.node)))
        return self._types

    def values(self) -> list[str]:
        if self._values is None:
            self._values = list(dict.fromkeys(self.reader.literals(self.node)))
        return self._values

    def parts(self) -> Iterator[tuple[str, "TypeAlias"]]:
        """The assignments that this one names, whether or not they are types."""
        for node in ast.walk(_unquoted(self.node)):
            if isinstance(node, ast.Name | ast.Attribute):
                found = self.reader.resolver.lookup(ast.unparse(node), self.reader.scope)
                value = (
                    parse_expression(str(found.value)) if isinstance(found, griffe.Attribute) and found.value else None
                )
                if isinstance(found, griffe.Attribute) and found.parent is not None and value is not None:
                    yield found.path, TypeAlias(value, Reader(found.parent, self.reader.resolver))


class _Unquote(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        inner = parse_expression(node.value) if isinstance(node.value, str) else None
        return node if inner is None or isinstance(inner, ast.Constant) else inner


def _unquoted(node: ast.expr) -> ast.expr:
    """A copy with quoted types written out."""
    copy = parse_expression(ast.unparse(node))
    return _Unquote().visit(copy) if copy is not None else node


def _join(alternatives: list[str]) -> str:
    """Sorted, each once, None last."""
    parts = sorted({"None" if part == "NoneType" else part for part in alternatives})
    return " | ".join(sorted(parts, key=lambda part: part == "None"))


def _literal_values(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Tuple | ast.List):
        for item in node.elts:
            yield from _literal_values(item.value if isinstance(item, ast.Starred) else item)
    elif isinstance(node, ast.Constant | ast.UnaryOp):
        yield ast.unparse(node)


def _arguments(node: ast.Subscript) -> list[ast.expr]:
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else ast.unparse(node)
