"""Members and functions that are used in another way now: read or called, awaited, entered by `with`, looped over."""

import ast
from collections.abc import Iterator
from typing import Any

from .code import Function, Value
from .contacts import Contact
from .functions import CONTEXTS, TRANSPARENT, is_generator, returned
from .given import Reader
from .hits import Hit, Level, make_hit
from .library import Library
from .sides import Member, Sides
from .syntax import dotted
from .things import Instance

_OPERANDS = ("value", "item", "for", "with", "async for", "async with", "await")
"""Uses that a method which is not called never stands."""
_GIVES = {"coroutine": "await", "context": "with", "async context": "async with", "generator": "for"}
_GIVES |= {"async generator": "async for"}
"""What a function of each flavour is for."""
_ASKS = {"await": "__await__", "with": "__enter__", "async with": "__aenter__", "for": "__iter__"}
_ASKS |= {"async for": "__aiter__", "item": "__getitem__"}
"""The member that a use asks for."""
_PLAIN = {"int", "float", "bool", "str", "bytes", "complex", "None", "list", "dict", "set", "tuple", "frozenset"}
_LOOPED = {"str", "bytes", "list", "dict", "set", "tuple", "frozenset"}


def kind_hits(sides: Sides, contact: Contact, old: Member, new: Member, path: str) -> Iterator[Hit]:
    """One that is read or called, awaited, entered or looped over as only the old version can be."""
    at: dict[str, Any] = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
    was, now = (_is_value(member) for member in (old, new))
    if was is None or now is None:
        return
    if was and not now and contact.shape is None:
        certain = contact.used in _OPERANDS or _is_plain(sides, sides.old, old)
        says = f"`{path}` is a method now: reading it gives what has to be called."
        level: Level = "error" if certain else "warning"
        yield make_hit("called-otherwise", contact, path, says, fix="Call it.", level=level, **at)
    elif now and not was:
        certain = contact.shape is not None and _is_plain(sides, sides.new, new)
        says = f"`{path}` is no method any more: reading it gives its value."
        level = "error" if certain else "warning"
        yield make_hit("called-otherwise", contact, path, says, fix="Read it without a call.", level=level, **at)
    elif contact.shape is not None and isinstance(old, Function) and isinstance(new, Function) and not now:
        yield from _flavour_hits(sides, contact, old, new, path)


def _is_value(member: Member) -> bool | None:
    """Whether reading it gives something that is no method; None where that is not known."""
    if isinstance(member, Function):
        return member.is_property
    known = isinstance(member, Value) and isinstance(member.node, ast.Constant) and member.node.value is not Ellipsis
    return True if known else None


def _is_plain(sides: Sides, library: Library, member: Member) -> bool:
    """Whether a value is known to be nothing that can be called."""
    if isinstance(member, Value):
        return isinstance(member.node, ast.Constant) and member.node.value is not None
    return isinstance(member, Function) and _supports(sides, library, member, "__call__") is False


def _flavour_hits(sides: Sides, contact: Contact, old: Function, new: Function, path: str) -> Iterator[Hit]:
    """Functions that became coroutines, generators or context managers, or are none any more."""
    before, after = flavour(old), flavour(new)
    used = contact.used
    if before is None or after is None or before == after or (not used and after == "generator"):
        return
    if before != "plain" and used and _GIVES[before] != used:
        return  # not what it was for
    if before == "plain" and (_gives_the_same(old, after) or used == _GIVES.get(after)):
        return
    level: Level = "error" if used else "warning"
    if after == "plain":
        if used not in _ASKS:
            return
        supported = _supports(sides, sides.new, new, _ASKS[used])
        if supported:
            return
        level = "error" if supported is False else "warning"
    says = f"`{path}` is {_article(after)} now; it was {_article(before)}."
    at: dict[str, Any] = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
    yield make_hit("called-otherwise", contact, path, says, fix=_FIXES.get(after, ""), level=level, **at)


_FIXES = {
    "coroutine": "Await what it gives.",
    "context": "Enter it by `with`.",
    "async context": "Enter it by `async with`.",
    "async generator": "Loop over it by `async for`.",
}


def flavour(function: Function) -> str | None:
    """What calling it gives: a coroutine, a generator, a context manager; None where a decorator decides."""
    if function.others:
        return None
    asynchronous = isinstance(function.node, ast.AsyncFunctionDef)
    if function.decorators & CONTEXTS:
        return "async context" if "asynccontextmanager" in function.decorators else "context"
    if function.decorators - TRANSPARENT:
        return None
    if is_generator(function):
        return "async generator" if asynchronous else "generator"
    return "coroutine" if asynchronous else "plain"


def _article(flavour: str) -> str:
    words = {
        "plain": "an ordinary function",
        "context": "a context manager",
        "async context": "an async context manager",
    }
    return words.get(flavour, f"{'an' if flavour[0] in 'ae' else 'a'} {flavour}")


def _gives_the_same(function: Function, flavour: str) -> bool:
    """Whether an ordinary function may have handed out what the flavour does: something to be awaited, an iterator."""
    text = ast.unparse(function.node.returns).lower() if function.node.returns is not None else ""
    if text:
        words: dict[str, tuple[str, ...]] = {"coroutine": ("awaitable", "coroutine", "future", "task", "any")}
        words |= {"generator": ("itera", "generator"), "async generator": ("asyncitera", "asyncgenerator")}
        return any(word in text for word in words.get(flavour, ("context", "any")))
    values = [value for value in returned(function) if value is not None]
    return any(not isinstance(value, _LITERALS) for value in values) or _is_stub(function)


_LITERALS = (
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Dict,
    ast.Set,
    ast.ListComp,
    ast.DictComp,
    ast.SetComp,
    ast.JoinedStr,
)


def _is_stub(function: Function) -> bool:
    """A body that says nothing: of a snapshot, an interface, or a method that others have to define."""
    body = [node for node in function.node.body if not isinstance(node, ast.Pass)]
    silent = (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)
    return all(silent) or any(isinstance(node, ast.Raise) for node in body)


def _supports(sides: Sides, library: Library, function: Function, member: str) -> bool | None:
    """Whether what a function gives has a special method; None where that is not known."""
    annotation = function.node.returns
    name = dotted(annotation) if annotation is not None else None
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return False
    if isinstance(annotation, ast.Subscript):
        name = dotted(annotation.value)
    if name in _PLAIN and not library.codebase.lookup(str(name), function.module):
        return member in ("__iter__", "__getitem__") and name in _LOOPED
    if annotation is None:
        values = [value for value in returned(function) if value is not None]
        if all(isinstance(value, _LITERALS) for value in values) and not _is_stub(function):
            return member in ("__iter__", "__getitem__") and bool(values)
    things = Reader(sides, library).result(function)
    if not things or not all(isinstance(thing, Instance) for thing in things):
        return None
    classes = [thing.class_ for thing in things if isinstance(thing, Instance)]
    has = [member in library.members(class_) for class_ in classes]
    if all(has) or any(has) or any(library.may_inherit(class_, member) for class_ in classes):
        return True if all(has) else None
    return False


def unbound_hits(sides: Sides, contact: Contact, old: Function, new: Function) -> Iterator[Hit]:
    """A static or class method that is an ordinary one now, called through its class."""
    bindings = {"staticmethod", "classmethod"}
    owner = sides.new.class_at(contact.path.rpartition(".")[0])
    if owner is None or new.owner is None or not old.decorators & bindings or new.decorators & bindings:
        return
    level: Level = "error" if not new.decorators - TRANSPARENT else "warning"
    says = f"`{contact.path}` needs an instance now: called through the class it takes the first argument for that."
    at: dict[str, Any] = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
    fix = "Call it on an instance."
    yield make_hit("called-otherwise", contact, contact.path, says, fix=fix, level=level, **at)
