"""Text of the command line or a value of a config file -> a value of the type that the option is annotated with."""

import ast
import functools
from pathlib import Path
from typing import Any, NamedTuple

from .errors import UsageError, nearest
from .fields import Option, accepted_strings, literal_values, parse, read_options

BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Kind(NamedTuple):
    """What an option accepts: names of types, strings if only some are accepted, and the kind of a list's items."""

    types: frozenset[str]
    choices: tuple[str, ...] = ()
    item: "Kind | None" = None


@functools.cache
def kind_of(option: Option) -> Kind:
    """What the annotation of an option says."""
    kind = read_annotation(ast.parse(option.annotation, mode="eval").body, option.file)
    if option.choices:
        kind = kind._replace(choices=option.choices)
    if option.name == "resume_from_checkpoint":  # transformers annotates str, its trainer and ours take true as well
        kind = kind._replace(types=kind.types | {"bool"})
    return kind


def read_annotation(node: ast.expr, file: Path) -> Kind:
    if isinstance(node, ast.BinOp):
        left, right = read_annotation(node.left, file), read_annotation(node.right, file)
        return Kind(left.types | right.types, left.choices or right.choices, left.item or right.item)
    if isinstance(node, ast.Constant):
        return Kind(frozenset({"none"}))
    if isinstance(node, ast.Subscript):
        name = ast.unparse(node.value)
        if name == "list":
            return Kind(frozenset({"list"}), item=read_annotation(node.slice, file))
        if name == "Literal":
            values = literal_values(node)
            strings = tuple(value for value in values if isinstance(value, str))
            return Kind(frozenset({"bool" if isinstance(value, bool) else "str" for value in values}), strings)
        return Kind(frozenset({name}))
    name = ast.unparse(node)
    if name in ("int", "float", "str", "bool", "dict", "list"):
        return Kind(frozenset({name}))
    choices = accepted_strings(file, name)
    return Kind(frozenset({"str"}), choices) if choices else Kind(frozenset({name}))


def convert_mapping(options: list[Option], given: dict[Any, Any], place: str) -> dict[str, Any]:
    """The values of several options, `given` by name; dashes in a name are as good as underscores.

    Raises:
        UsageError: a name is unknown or given twice, or a value is wrong.
    """
    known = {option.name: option for option in options}
    values: dict[str, Any] = {}
    for key, value in given.items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise UsageError(f"{place}: unknown option `{key}`.{nearest(name, list(known))}")
        if name in values:
            raise UsageError(f"{place}: `{name}` is given twice, as `{key}` too.")
        values[name] = convert(known[name], value, f"{place}: `{key}`")
    return values


def convert(option: Option, value: Any, place: str) -> Any:
    """The value for an option.

    Args:
        option: what the value is for.
        value: a string or, from the command line, a list of strings; from a config file also what YAML makes of it.
        place: what errors call the option, such as `--learning_rate`.

    Raises:
        UsageError: the value has another type or is not one of the choices.
    """
    kind = kind_of(option)
    if (
        isinstance(value, str)
        and "list" in kind.types
        and not (value.lower() in ("none", "null") or "str" in kind.types)
    ):
        value = [value]
    if isinstance(value, str):
        return convert_text(option, kind, value, place)
    if not isinstance(value, list):
        return convert_native(option, kind, value, place)
    if "list" in kind.types:
        items = [part for item in value for part in split_items(item)]
        if len(items) != 1 or "str" not in kind.types or not isinstance(items[0], str):
            return [convert_item(option, kind.item, item, f"{place}, item {i}") for i, item in enumerate(items, 1)]
        value = items
    if len(value) == 1:
        return convert(option, value[0], place)
    raise UsageError(f"{place} takes one value, but got {len(value)}: {' '.join(map(str, value))}")


def split_items(item: Any) -> list[Any]:
    """The items that one word stands for: a list or mapping in YAML or JSON, or words between commas."""
    if not isinstance(item, str):
        return [item]
    if item[:1] in ("[", "{"):
        parsed = parse_yaml(item)
        if isinstance(parsed, list | dict):
            return parsed if isinstance(parsed, list) else [parsed]
    return [part.strip() for part in item.split(",") if part.strip()]


def convert_item(option: Option, kind: Kind | None, item: Any, place: str) -> Any:
    """One item of a list; where the items are of a config class, a mapping of its fields or the value of its first."""
    if kind is None:
        return item
    nested = nested_options(option, kind)
    if nested:
        return convert_mapping(nested, item if isinstance(item, dict) else {nested[0].name: item}, place)
    return (
        convert_text(option, kind, item, place) if isinstance(item, str) else convert_native(option, kind, item, place)
    )


def nested_options(option: Option, kind: Kind) -> list[Option]:
    classes = [node.name for node in parse(option.file).tree.body if isinstance(node, ast.ClassDef)]
    return [one for name in kind.types if name in classes for one in read_options(option.file, name)]


def convert_text(option: Option, kind: Kind, text: str, place: str) -> Any:
    word = text.lower()
    if "none" in kind.types and (word == "null" or (word == "none" and option.default != "none")):
        return None
    if "bool" in kind.types and word in BOOLEANS and ("int" not in kind.types or not text.isdigit()):
        return BOOLEANS[word]
    for name, number in (("int", int), ("float", float)):
        if name in kind.types:
            try:
                converted = number(text)
            except ValueError:
                continue
            if converted == converted:  # not NaN, which no option can mean
                return converted
    if "dict" in kind.types:
        mapping = parse_mapping(text)
        if mapping is not None:
            return mapping
        if option.name.endswith("_kwargs"):
            raise wrong(option, kind._replace(types=kind.types - {"str"}), text, place)
    if "str" not in kind.types or (kind.choices and text not in kind.choices):
        raise wrong(option, kind, text, place)
    return text


def convert_native(option: Option, kind: Kind, value: Any, place: str) -> Any:
    """A value that YAML already gave a type."""
    name = {type(None): "none", bool: "bool", int: "int", float: "float", dict: "dict", list: "list"}.get(type(value))
    if name in kind.types:
        return value
    if name == "int" and "float" in kind.types:
        return float(value)
    if name == "bool" and option.bare:
        return value
    if name in ("int", "float") and "str" in kind.types and not kind.choices:
        return str(value)
    raise wrong(option, kind, value, place)


def parse_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def parse_mapping(text: str) -> dict[str, Any] | None:
    """The mapping that YAML or JSON text stands for, or None if it stands for something else."""
    value = parse_yaml(text) if ":" in text or text.strip() == "{}" else text
    return value if isinstance(value, dict) else None


def wrong(option: Option, kind: Kind, value: Any, place: str) -> UsageError:
    shown = value if isinstance(value, str) else "nothing" if value is None else repr(value)
    hint = nearest(str(value), list(kind.choices)) if kind.choices else ""
    return UsageError(f"{place} must be {describe(kind)}, but got {shown}.{hint}")


def describe(kind: Kind) -> str:
    """What is accepted, in words."""
    words = {
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "str": "text",
        "dict": "a mapping such as '{\"key\": 1}'",
        "list": "a list",
        "none": "none",
    }
    if kind.choices:
        words["str"] = "one of " + ", ".join(kind.choices)
    parts = [word for name, word in words.items() if name in kind.types]
    return " or ".join(parts) or "set in Python: it has no text form"
