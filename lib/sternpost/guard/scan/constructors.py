"""What the constructors take that Python writes itself (dataclasses, attrs, named tuples), and what others hand on."""

import ast
from collections.abc import Iterable, Iterator

from .code import Class, Function, Value
from .codebase import External
from .signature import Argument, Signature, default_text, is_required
from .syntax import last_name, strings


def field_arguments(chain: Iterable[Class | External]) -> tuple[Argument, ...]:
    """One argument for each field of a class and of its bases, of which the later ones come first."""
    found: dict[str, Argument] = {}
    for owner in reversed(list(chain)):
        if isinstance(owner, External):
            continue
        for value, by_position in _fields(owner):
            name = value.name.lstrip("_") if owner.is_attrs else value.name
            default = None if is_required(value.node) else default_text(value.node or ast.Constant(None))
            if _option(value.node, "init") is not False:
                found[name] = Argument(name, default, by_position)
    return tuple(found.values())


def _fields(owner: Class) -> Iterator[tuple[Value, bool]]:
    """The fields that a class declares itself, and whether each can be given by position."""
    by_name = any(_option(decorator, "kw_only") is True for decorator in owner.node.decorator_list)
    by_name = by_name or any(last_name(base) == "BaseModel" for base in owner.node.bases)
    for value in owner.fields():
        if last_name(value.annotation or value.node or ast.Constant(None)) == "KW_ONLY":
            by_name = True
            continue
        yield (
            value,
            not (_option(value.node, "kw_only") is True or (by_name and _option(value.node, "kw_only") is None)),
        )


def _option(node: ast.expr | None, name: str) -> object:
    """The constant that a decorator or `field()` is given for an option; None if it is not there."""
    for keyword in node.keywords if isinstance(node, ast.Call) else ():
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return keyword.value.value
    return None


def tuple_signature(node: ast.expr | None) -> Signature | None:
    """What `namedtuple("T", "a b")` or `NamedTuple("T", [("a", int)])` takes; None where it is neither."""
    name = last_name(node.func) if isinstance(node, ast.Call) else ""
    if not isinstance(node, ast.Call) or name not in ("namedtuple", "NamedTuple") or len(node.args) != 2:
        return None
    given = node.args[1]
    if node.keywords or not isinstance(given, ast.Constant | ast.List | ast.Tuple):
        return None
    names: list[str] = []
    for item in given.elts if isinstance(given, ast.List | ast.Tuple) else [given]:
        first = item.elts[0] if isinstance(item, ast.Tuple) and item.elts else item
        names += [word for text in strings(first) for word in text.replace(",", " ").split()]
    return Signature(tuple(Argument(name) for name in names))


def hands_on(init: Function) -> bool:
    """Whether all that a constructor does with its `**kwargs` is to give them to that of its base."""
    kwargs = init.node.args.kwarg
    if kwargs is None:
        return False
    used = [n for n in ast.walk(init.node) if isinstance(n, ast.Name) and n.id == kwargs.arg]
    calls = (n for n in ast.walk(init.node) if isinstance(n, ast.Call) and _is_of_base(n.func))
    given = [k.value for call in calls for k in call.keywords if k.arg is None]
    return bool(given) and all(any(use is value for value in given) for use in used)


def _is_of_base(func: ast.expr) -> bool:
    """Whether `super().__init__` is called."""
    above = func.value if isinstance(func, ast.Attribute) and func.attr == "__init__" else None
    return isinstance(above, ast.Call) and last_name(above.func) == "super"
