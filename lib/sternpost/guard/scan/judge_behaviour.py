"""What the package does otherwise behind names that stayed, as far as its source says so."""

from collections.abc import Iterator
from typing import Any

from .behaviour import Refusal, makers, new_refusals, refusals
from .code import Class, Function
from .contacts import Contact
from .hits import Hit, make_hit
from .library import Library
from .sides import Sides

MAX_TOLD = 3
"""Refusals of one callable that are told word for word."""


def refusal_hits(
    sides: Sides, contact: Contact, old: Class | Function, new: Class | Function, path: str
) -> Iterator[Hit]:
    """A callable that the project calls raises where it did not."""
    fresh = fresh_refusals(sides, old, new)
    if fresh:
        says = f"`{path}` refuses more now: {told(fresh)}."
        at: dict[str, Any] = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
        yield make_hit("refuses", contact, path, says, cause=f"refuses {new.path}", **at)


def fresh_refusals(sides: Sides, old: Class | Function, new: Class | Function) -> list[Refusal]:
    """What only the new version of a callable refuses."""
    before, after = (
        refusals(_bodies(side, entity), side.refusals) for side, entity in ((sides.old, old), (sides.new, new))
    )
    return new_refusals(before, after)


def _bodies(library: Library, entity: Class | Function) -> list[Function]:
    return [entity] if isinstance(entity, Function) else makers(library.chain(entity))


def told(fresh: list[Refusal]) -> str:
    """The first of them, and how many more there are."""
    shown = [f"{refusal.error}: {refusal.message}" for refusal in fresh[:MAX_TOLD]]
    return "; ".join(shown) + (f"; and {len(fresh) - MAX_TOLD} more" if len(fresh) > MAX_TOLD else "")


def settled_hits(sides: Sides, contact: Contact, old: Class, new: Class, given: set[str], path: str) -> Iterator[Hit]:
    """Options that the project leaves alone and that `__post_init__` now sets, or sets to something else."""
    for name, values in sides.newly_settled(old, new).items():
        if name not in given:
            says = f"`{path}` sets option `{name}` itself now: {' or '.join(sorted(values))}."
            at: dict[str, Any] = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
            cause = f"default-shifted {old.path}.{name}"
            yield make_hit("default-shifted", contact, f"{path}.{name}", says, cause=cause, **at)


def fallback_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """Methods that a base in the package no longer has, so that what it inherits them from acts instead."""
    own = sides.own.get(contact.class_, set())
    before, after = (sides.inherited(contact.class_, side) for side in (sides.old, sides.new))
    base = sides.new.class_at(contact.path)
    outside = sides.new.foreign_names(base) if base is not None else frozenset()
    lost = [n for n, m in before.items() if isinstance(m, Function) and n not in after and n in outside - own]
    for name in sorted(lost):
        says = f"`{contact.path}` no longer has its own `{name}`: that of its base in another library acts now."
        symbol = f"{contact.path}.{name}"
        cause = f"fallback {symbol}"
        yield make_hit("fallback", contact, symbol, says, old_at=sides.old.origin(before[name]), cause=cause)
