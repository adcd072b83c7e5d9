"""Fields of dataclasses (and named tuples): defaults resolved, inherited ones included as far as the package goes."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

import griffe

from .annotations import choices, type_text
from .facts import Fact, Origin, make_fact
from .resolve import External, Resolver
from .values import literal, parse_expression, value_text

_FACTORIES = {"list": "[]", "dict": "{}", "set": "set()", "tuple": "()"}


@dataclass(frozen=True)
class ConfigField:
    """One field as a caller of the constructor meets it. `default` is None when it must be given."""

    name: str
    owner: griffe.Class
    attribute: griffe.Attribute
    default: str | None
    type: str | None
    choices: list[str]
    keyword_only: bool
    in_constructor: bool
    help: str = ""
    """What `field(metadata={"help": ...})` says."""


def is_dataclass(class_: griffe.Class) -> bool:
    return "dataclass" in class_.labels or any(str(base).rpartition(".")[2] == "NamedTuple" for base in class_.bases)


def config_fields(lineage: list[griffe.Class], resolver: Resolver) -> list[ConfigField]:
    """The public fields of the first class of `lineage` (itself, then its bases), in the order of the constructor."""
    fields: dict[str, ConfigField] = {}
    for class_ in reversed(lineage):
        if is_dataclass(class_):
            for found in _own_fields(class_, resolver):
                fields[found.name] = found  # an overridden field keeps its place
    return [found for found in fields.values() if not found.name.startswith("_")]


def tuple_fields(expression: str | griffe.Expr | None) -> list[tuple[str, str | None]]:
    """Names and defaults of `namedtuple("T", "a b")` and `NamedTuple("T", [("a", int)])`; empty if it is neither."""
    call = parse_expression(str(expression)) if isinstance(expression, griffe.ExprCall | str) else None
    if not isinstance(call, ast.Call) or len(call.args) < 2:
        return []
    if ast.unparse(call.func).rpartition(".")[2] not in ("namedtuple", "NamedTuple"):
        return []
    listed = call.args[1]
    items = listed.elts if isinstance(listed, ast.List | ast.Tuple) else [listed]
    parts = [item.elts[0] if isinstance(item, ast.Tuple) and item.elts else item for item in items]
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    if not parts or len(texts) != len(parts):
        return []  # there are none, or one of them is made up elsewhere
    names = texts[0].replace(",", " ").split() if listed is parts[0] else texts
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "defaults"), None)
    defaults = list(map(ast.unparse, given.elts)) if isinstance(given, ast.Tuple | ast.List) else []
    missing: list[str | None] = [None] * (len(names) - len(defaults))
    return list(zip(names, [*missing, *defaults], strict=True)) if len(defaults) <= len(names) else []


def tuple_facts(home: str, named: list[tuple[str, str | None]], origin: Origin) -> Iterator[Fact]:
    """One fact per field of a named tuple."""
    yield from (make_fact("field", home, name, origin, default=default) for name, default in named)


def _own_fields(class_: griffe.Class, resolver: Resolver) -> Iterator[ConfigField]:
    keyword_only = _decorated_keyword_only(class_)
    for attribute in class_.members.values():
        if not isinstance(attribute, griffe.Attribute) or attribute.annotation is None or not is_field(attribute):
            continue
        if str(attribute.annotation).rpartition(".")[2] == "KW_ONLY":
            keyword_only = True
            continue
        options = _field_call(attribute, resolver)
        yield ConfigField(
            name=attribute.name,
            owner=class_,
            attribute=attribute,
            default=_default(attribute, options, resolver),
            type=type_text(attribute.annotation, class_, resolver),
            choices=choices(attribute.annotation, class_, resolver) or _metadata_choices(options, class_, resolver),
            keyword_only=_flag(options, "kw_only", keyword_only),
            in_constructor=_flag(options, "init", True),
            help=_help(options, class_, resolver),
        )


def is_field(attribute: griffe.Attribute) -> bool:
    """Whether an annotated attribute of a dataclass is a field: no property and no `ClassVar`."""
    labels = attribute.labels
    class_variable = "class-attribute" in labels and "instance-attribute" not in labels  # as griffe tells them
    return "property" not in labels and not class_variable


def _decorated_keyword_only(class_: griffe.Class) -> bool:
    for decorator in class_.decorators:
        call = parse_expression(str(decorator.value))
        if isinstance(call, ast.Call) and decorator.callable_path == "dataclasses.dataclass":
            return _flag({k.arg: k.value for k in call.keywords if k.arg}, "kw_only", False)
    return False


def _field_call(attribute: griffe.Attribute, resolver: Resolver) -> dict[str, ast.expr] | None:
    """The arguments of `dataclasses.field(...)`; None if the value is no such call."""
    call = parse_expression(str(attribute.value)) if attribute.value is not None else None
    if not isinstance(call, ast.Call) or attribute.parent is None:
        return None
    function = resolver.lookup(ast.unparse(call.func), attribute.parent)
    if not isinstance(function, External) or function.path != "dataclasses.field":
        return None
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def _default(attribute: griffe.Attribute, options: dict[str, ast.expr] | None, resolver: Resolver) -> str | None:
    scope = attribute.parent or attribute.module
    if options is None:
        return value_text(attribute.value, scope, resolver) if attribute.value is not None else None
    if "default" in options:
        return value_text(ast.unparse(options["default"]), scope, resolver)
    factory = options.get("default_factory")
    if factory is None:
        return None
    if isinstance(factory, ast.Lambda):
        return value_text(ast.unparse(factory.body), scope, resolver)
    name = ast.unparse(factory)
    return _FACTORIES.get(name) or value_text(f"{name}()", scope, resolver)


def _metadata_choices(options: dict[str, ast.expr] | None, class_: griffe.Class, resolver: Resolver) -> list[str]:
    """`field(metadata={"choices": [...]})`, as argument parsers read it."""
    metadata = (options or {}).get("metadata")
    for key, value in zip(metadata.keys, metadata.values, strict=True) if isinstance(metadata, ast.Dict) else ():
        if isinstance(key, ast.Constant) and key.value == "choices":
            values = literal(ast.unparse(value), class_, resolver)
            return [repr(item) for item in values] if isinstance(values, list | tuple) else []
    return []


def _help(options: dict[str, ast.expr] | None, class_: griffe.Class, resolver: Resolver) -> str:
    metadata = (options or {}).get("metadata")
    for key, value in zip(metadata.keys, metadata.values, strict=True) if isinstance(metadata, ast.Dict) else ():
        if isinstance(key, ast.Constant) and key.value == "help":
            return str(literal(ast.unparse(value), class_, resolver) or "")
    return ""


def _flag(options: dict[str, ast.expr] | None, name: str, default: bool) -> bool:
    value = (options or {}).get(name)
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, bool) else default
