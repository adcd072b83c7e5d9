"""Signatures, fields, source and names of the package that the project looks at, held against two versions."""

from collections.abc import Iterator
from typing import Any

from .code import Class, Function, Module
from .codebase import Entity
from .contacts import Contact
from .hits import Hit, make_hit
from .judge_names import listed, text_of
from .sides import Sides


def reflection_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """Signatures, fields, source and names that the project looks at."""
    old, new = sides.old.one(contact.path), sides.new.one(contact.path)
    if old is None or new is None:
        return
    at: dict[str, Any] = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
    if contact.detail in ("file", "source"):
        module = old.path if isinstance(old, Module) else contact.path.rpartition(".")[0]
        gone = sorted(sides.old.metrics_below(module) - sides.new.metrics_below(module))
        if gone:
            says = f"The source that is read here no longer logs {listed(gone)}."
            yield make_hit("key-gone", contact, contact.path, says, level="note", **at)
    if contact.detail == "names":
        lost = sorted(n for n in sides.old.names_in(contact.path) - sides.new.names_in(contact.path) if n[:1] != "_")
        if lost:
            says = f"No longer listed in `{contact.path}`: {listed(lost)}."
            yield make_hit("names-gone", contact, contact.path, says, **at)
    elif contact.detail == "fields" and isinstance(old, Class) and isinstance(new, Class):
        lost = sorted(sides.old.fields(old).keys() - sides.new.fields(new).keys() - sides.new.foreign_names(new))
        if lost:
            yield make_hit("names-gone", contact, contact.path, f"`{contact.path}` lost {listed(lost)}.", **at)
    elif contact.detail in ("signature", "source") and _is_hollow(new) and not _is_hollow(old):
        says = f"`{contact.path}` takes `(*args, **kwargs)` now and passes on: inspecting it shows nothing."
        yield make_hit("reflection-hollow", contact, contact.path, says, **at)
    elif contact.detail == "source" and text_of(old) != text_of(new):
        yield make_hit("reflection-changed", contact, contact.path, f"The source of `{contact.path}` changed.", **at)


def _is_hollow(entity: Entity) -> bool:
    function = entity.members.get("__init__") if isinstance(entity, Class) else entity
    return isinstance(function, Function) and function.signature.is_open
