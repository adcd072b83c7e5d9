"""Overrides: methods and values of the project in place of those of a base, held against two versions."""

from collections.abc import Iterator
from typing import Any

from .code import Function
from .contacts import Contact
from .hits import Hit, make_hit
from .judge_classes import base_name, known_elsewhere
from .judge_names import lacks
from .library import Library
from .sides import Sides, most_alike
from .signature import Misfit, Shape, misfits


def override_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """A method or value of the project in place of one of the base."""
    if not sides.has_all_bases(contact.class_, sides.new) or contact.name == "__init__":
        return
    old = sides.inherited(contact.class_, sides.old).get(contact.name)
    new = sides.inherited(contact.class_, sides.new).get(contact.name)
    base = base_name(sides, contact.class_)
    symbol = f"{base}.{contact.name}"
    if contact.detail == "field":
        if old is not None and new is None and not known_elsewhere(sides, contact.class_, contact.name):
            says = f"`{base}` no longer has option `{contact.name}`: the project's own is not read there."
            yield make_hit("option-ignored", contact, symbol, says, old_at=sides.old.origin(old))
        return
    if old is None and new is not None and not contact.name.startswith("__") and isinstance(new, Function):
        if sides.has_all_bases(contact.class_, sides.old):
            says = f"`{base}` has a method `{contact.name}` of its own now, which this one replaces."
            yield make_hit("override-new", contact, symbol, says, new_at=sides.new.origin(new))
    elif old is not None and new is None:
        yield from _dead_override(sides, contact, symbol, base)
    elif isinstance(old, Function) and isinstance(new, Function) and contact.signature is not None:
        yield from _override_fit(sides, contact, old, new, symbol)


def _dead_override(sides: Sides, contact: Contact, symbol: str, base: str) -> Iterator[Hit]:
    called = any(
        True for owner in sides.bases(contact.class_, sides.new) for u in owner.uses.reads if u.name == contact.name
    )
    if called or known_elsewhere(sides, contact.class_, contact.name):
        return
    before = set(sides.inherited(contact.class_, sides.old))
    alike = most_alike(contact.name, set(sides.inherited(contact.class_, sides.new)) - before)
    moved = sides.instead(symbol)
    yield make_hit(
        "override-dead",
        contact,
        symbol,
        f"`{base}` no longer has `{contact.name}`: nothing calls this override any more.",
        fix=f"`{alike}` is probably the same thing." if alike else moved,
        old_at=sides.old.origin(sides.old.one(symbol)),
    )


def _override_fit(sides: Sides, contact: Contact, old: Function, new: Function, symbol: str) -> Iterator[Hit]:
    at: dict[str, Any] = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
    signature = contact.signature
    assert signature is not None  # asked by the caller
    if old.is_property != new.is_property and (contact.detail == "property") != new.is_property:
        says = f"`{symbol}` is {'a property' if new.is_property else 'a method'} now."
        yield make_hit("override-kind", contact, symbol, says, **at)
        return
    before, after = (_call_misfits(sides, contact, side) for side in (sides.old, sides.new))
    broken = sorted({m.name for m in after - before if m.what != "too many"})
    many = [m for m in after - before if m.what == "too many"] if not any(m.what == "too many" for m in before) else []
    if broken or many:
        what = ", ".join(f"`{name}`" for name in broken) or f"{many[0].name} arguments by position"
        says = f"The base now calls `{contact.name}` with {what}; this override does not fit."
        yield make_hit("override-argument", contact, symbol, says, **at)
    lacking = [name for name in lacks(old, new, signature) if name not in broken]
    if lacking and not contact.name.startswith("__"):
        says = f"`{symbol}` now takes {', '.join(f'`{n}`' for n in lacking)}, which this override does not."
        yield make_hit("override-narrow", contact, symbol, says, **at)
    yield from _override_result(sides, contact, old, new, symbol)


def _call_misfits(sides: Sides, contact: Contact, library: Library) -> set[Misfit]:
    """What is wrong with the base's own calls of a method, if the project's override takes them."""
    found: set[Misfit] = set()
    for owner in sides.bases(contact.class_, library):
        for use in [*owner.uses.reads, *owner.uses.supers]:
            if use.name == contact.name and use.call is not None and contact.signature is not None:
                found |= set(misfits(Shape.of(use.call), contact.signature))
    return found


def _override_result(sides: Sides, contact: Contact, old: Function, new: Function, symbol: str) -> Iterator[Hit]:
    """What the base takes apart, or returned itself, against what the override returns."""
    returned = {shape for shape in contact.results if shape not in ("?", "none")}
    if not returned:
        return
    taken = [_taken_apart(sides, contact, side) for side in (sides.old, sides.new)]
    at: dict[str, Any] = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
    if taken[1] and not returned & taken[1] and (returned & taken[0] or not taken[0]):
        says = f"The base takes apart {_or(taken[1])} from `{contact.name}`; this override returns {_or(returned)}."
        yield make_hit("override-result", contact, symbol, says, **at)
        return
    before, after = ({s for s in f.results if s not in ("?", "none")} for f in (old, new))
    if after and returned & before and not returned & after and "?" not in new.results:
        says = f"`{symbol}` returns {_or(after)} now; this override returns {_or(returned)}."
        yield make_hit("override-result", contact, symbol, says, level="warning", **at)


def _or(shapes: set[str]) -> str:
    return " or ".join(f"a {shape}" for shape in sorted(shapes))


def _taken_apart(sides: Sides, contact: Contact, library: Library) -> set[str]:
    counts = {
        use.unpacked
        for owner in sides.bases(contact.class_, library)
        for use in owner.uses.reads
        if use.name == contact.name and use.unpacked is not None
    }
    return {f"{count}-tuple" for count in counts}
