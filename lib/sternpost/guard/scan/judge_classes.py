"""Subclasses of the package: overrides, inherited members, constructors that are replaced."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..facts import Origin
from ..values import same_value
from .code import Class, Function, SelfUse
from .contacts import Contact
from .given import Reader
from .hits import Hit, Level, make_hit
from .judge_abstract import abstract_hits
from .judge_behaviour import fallback_hits, refusal_hits, settled_hits
from .judge_calls import argument_changes, lost_option_hits, result_changes
from .judge_kinds import kind_hits
from .library import Library, foreign_names
from .sides import Member, Sides, most_alike
from .signature import default_text
from .things import Instance

_NEUTRAL = {"None", "False", "0", "0.0", "''", "[]", "{}", "list", "dict"}


def subclass_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """What a class of the project takes over from its base: refusals, options with their defaults."""
    old, new = sides.old.class_at(contact.path), sides.new.class_at(contact.path)
    if old is None or new is None:
        return
    yield from refusal_hits(sides, contact, old, new, contact.path)
    yield from abstract_hits(sides, contact)
    yield from fallback_hits(sides, contact)
    if old.is_dataclass:
        yield from settled_hits(sides, contact, old, new, sides.own.get(contact.class_, set()), contact.path)
        yield from _inherited_options(sides, contact, old, new)


def _inherited_options(sides: Sides, contact: Contact, old: Class, new: Class) -> Iterator[Hit]:
    """Options of a configuration that the project's own one takes over with their defaults."""
    before, after = sides.old.fields(old), sides.new.fields(new)
    own = sides.own.get(contact.class_, set())
    for name, value in after.items():
        if name in own or value.node is None:
            continue
        now = default_text(value.node)
        known = before.get(name)
        symbol = f"{contact.path}.{name}"
        at: dict[str, Any] = {"new_at": sides.new.origin(value)}
        if known is not None and known.node is not None and not same_value(default_text(known.node), now):
            was = default_text(known.node)
            says = f"The default of option `{name}` of `{contact.path}` changed: {was} -> {now}."
            fix = f"Declare `{name}` with {was} to keep what it did."
            cause = f"default-shifted {known.path}"
            yield make_hit(
                "default-shifted", contact, symbol, says, fix=fix, old_at=sides.old.origin(known), cause=cause, **at
            )
        elif known is None and _switches_on(now):
            says = f"`{contact.path}` has a new option `{name}`, which is {now}."
            yield make_hit("option-new", contact, symbol, says, **at)


def _switches_on(default: str) -> bool:
    return default not in _NEUTRAL and (default == "True" or default.replace(".", "").replace("e-", "").isdigit())


def _place(sides: Sides, library: Library, path: str, member: Member | None) -> Origin | None:
    if isinstance(member, SelfUse):
        for owner in sides.bases(path, library):
            if any(use is member for use in owner.uses.writes):
                return library.origin(member, owner)
        return None
    return library.origin(member)


def known_elsewhere(sides: Sides, path: str, name: str) -> bool:
    """Whether a base outside the package may provide a member of this name, as far as is known."""
    return any(name in foreign_names(base) for base in sides.foreign_bases(path, sides.new))


# ---- Inherited members


def read_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """`self.name`, `self.name(...)` where the package provides it."""
    if contact.name in sides.own.get(contact.class_, ()) or not sides.has_all_bases(contact.class_, sides.new):
        return
    before = sides.inherited(contact.class_, sides.old)
    after = sides.inherited(contact.class_, sides.new)
    old, new = before.get(contact.name), after.get(contact.name)
    if old is None:
        return
    base = base_name(sides, contact.class_)
    symbol = f"{base}.{contact.name}"
    if new is None:
        if known_elsewhere(sides, contact.class_, contact.name):
            return
        alike = most_alike(contact.name, set(after) - set(before))
        yield make_hit(
            "member-gone",
            contact,
            symbol,
            f"`{base}` no longer has `{contact.name}`.",
            fix=f"`{alike}` is probably the same thing." if alike else sides.instead(symbol),
            old_at=_place(sides, sides.old, contact.class_, old),
        )
    elif isinstance(old, Function) and isinstance(new, Function) and contact.shape is not None:
        if not old.is_property and not new.is_property:
            yield from argument_changes(sides, contact, contact.shape, old.signature, new.signature, symbol, new)
            yield from result_changes(sides, contact, old, new, symbol)
            yield from refusal_hits(sides, contact, old, new, symbol)
    if new is not None:
        yield from kind_hits(sides, contact, old, new, symbol)


def base_name(sides: Sides, path: str) -> str:
    bases = sides.bases(path, sides.old)
    return bases[0].path if bases else path


def write_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """An attribute that the base knew and no longer does."""
    if not sides.has_all_bases(contact.class_, sides.new) or known_elsewhere(sides, contact.class_, contact.name):
        return
    before = contact.name in sides.inherited(contact.class_, sides.old) or _reads(sides, contact, sides.old)
    after = contact.name in sides.inherited(contact.class_, sides.new) or _reads(sides, contact, sides.new)
    if before and not after:
        base = base_name(sides, contact.class_)
        alike = most_alike(
            contact.name,
            set(sides.inherited(contact.class_, sides.new)) - set(sides.inherited(contact.class_, sides.old)),
        )
        yield make_hit(
            "write-dead",
            contact,
            f"{base}.{contact.name}",
            f"`{base}` no longer knows `{contact.name}`: setting it has no effect there.",
            fix=f"`{alike}` is probably the same thing." if alike else "",
        )


def _reads(sides: Sides, contact: Contact, library: Library) -> bool:
    bases = sides.bases(contact.class_, library)
    return any(use.name == contact.name for owner in bases for use in owner.uses.reads)


def super_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """`super().name(...)`."""
    if not sides.has_all_bases(contact.class_, sides.new):
        return
    old = sides.inherited(contact.class_, sides.old).get(contact.name)
    new = sides.inherited(contact.class_, sides.new).get(contact.name)
    base = base_name(sides, contact.class_)
    if contact.name == "__init__":
        yield from _super_init_hits(sides, contact, base)
    elif isinstance(old, Function) and new is None and not known_elsewhere(sides, contact.class_, contact.name):
        yield make_hit(
            "member-gone",
            contact,
            f"{base}.{contact.name}",
            f"`{base}` no longer has `{contact.name}`: `super()` does not find it.",
            fix=sides.instead(f"{base}.{contact.name}"),
            old_at=sides.old.origin(old),
        )
    elif isinstance(old, Function) and isinstance(new, Function) and contact.shape is not None:
        path = f"{base}.{contact.name}"
        yield from argument_changes(sides, contact, contact.shape, old.signature, new.signature, path, new)
        yield from result_changes(sides, contact, old, new, path)
        yield from refusal_hits(sides, contact, old, new, path)


def _super_init_hits(sides: Sides, contact: Contact, base: str) -> Iterator[Hit]:
    bases = [sides.bases(contact.class_, library) for library in (sides.old, sides.new)]
    if contact.shape is None or not bases[0] or not bases[1] or contact.detail not in ("", contact.class_):
        return
    old, new = sides.old.constructor(bases[0][0]), sides.new.constructor(bases[1][0])
    if old is not None and new is not None:
        yield from argument_changes(sides, contact, contact.shape, old, new, base, bases[1][0])


# ---- Constructors that are replaced, and options


def bypass_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """Attributes that the base reads and that only its own constructor would have set."""
    before, after = (_needed(sides, contact, side) for side in (sides.old, sides.new))
    if not sides.has_all_bases(contact.class_, sides.old):
        return
    base = base_name(sides, contact.class_)
    known = set(sides.inherited(contact.class_, sides.old))
    for name, where in sorted(after.items()):
        if known_elsewhere(sides, contact.class_, name):
            continue  # which the constructor of another library may set
        fresh = [method for method in where if method not in before.get(name, {})]
        if fresh and name not in contact.words:
            level: Level = "warning" if name in before or name in known else "error"  # it may have got on without
            says = f"`{base}` reads `self.{name}` now, which only its own `__init__` sets: this class does not call it."
            fix = f"Set `self.{name}` here too."
            yield make_hit(
                "attribute-needed", contact, f"{base}.{name}", says, fix=fix, new_at=where[fresh[0]], level=level
            )


def _needed(sides: Sides, contact: Contact, library: Library) -> dict[str, dict[str, Origin | None]]:
    """Attributes that only the constructor sets which is skipped, by the methods that read them."""
    bases = sides.bases(contact.class_, library)
    if contact.detail:  # `super(X, self)`: what stands behind X is called
        names = [owner.path for owner in bases]
        skipped = library.class_at(contact.detail)
        if skipped is None and contact.detail not in sides.classes:
            return {}
        index = names.index(skipped.path) + 1 if skipped is not None and skipped.path in names else len(names)
        skipped_bases = bases[:index]
    else:
        skipped_bases = bases
    set_there = {u.name: (u, o) for o in skipped_bases for u in o.uses.writes if u.method == "__init__"}
    set_elsewhere = {u.name for o in bases for u in o.uses.writes if u.method != "__init__" or o not in skipped_bases}
    members = {name for owner in bases for name in owner.members}
    own = sides.own.get(contact.class_, set())
    found: dict[str, dict[str, Origin | None]] = {}
    for owner in bases:
        for use in owner.uses.reads:
            if use.name in set_there and use.method != "__init__" and use.method not in own:
                if use.name not in set_elsewhere and use.name not in members:
                    found.setdefault(use.name, {}).setdefault(use.method, library.origin(use, owner))
    return found


def argument_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """An option that is read from `self.args` or from what is called so."""
    inside = contact.detail == "self" or contact.class_ in sides.classes
    if contact.name not in (sides.own_fields if inside else sides.any_fields):
        other = contact.detail == "self" and not _is_known(sides, contact)
        for hit in _read_options(sides, contact):
            if inside or not sides.declares(contact.name):
                yield replace(hit, level="note") if other else hit


def _is_known(sides: Sides, contact: Contact) -> bool:
    """Whether `self.config`, or however it is called, is one that the package gives."""
    name = contact.words[0] if contact.words else "args"
    return name in ("args", "config") or name in sides.inherited(contact.class_, sides.old)


def _read_options(sides: Sides, contact: Contact) -> Iterator[Hit]:
    old = _config_of(sides, contact.class_, sides.old) if contact.detail == "self" else None
    new = _config_of(sides, contact.class_, sides.new) if contact.detail == "self" else None
    if old is None or new is None:
        yield from lost_option_hits(sides, contact)
        yield from _shifted_option_hits(sides, contact)
        return
    before, after = sides.old.fields(old), sides.new.fields(new)
    symbol = f"{old.path}.{contact.name}"
    if contact.name in before and contact.name not in after and contact.name not in sides.new.foreign_names(new):
        alike = most_alike(contact.name, set(after) - set(before))
        yield make_hit(
            "option-gone",
            contact,
            symbol,
            f"`{new.name}` no longer has option `{contact.name}`.",
            fix=f"`{alike}` is probably the same thing." if alike else "",
            old_at=sides.old.origin(before[contact.name]),
            new_at=sides.new.origin(new),
        )


def _shifted_option_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    changes = [(owner, change) for owner, change in sides.option_changes.get(contact.name, ()) if change != "gone"]
    if changes:
        says = "; ".join(f"`{owner}.{contact.name}`: {change}" for owner, change in changes[:4])
        yield make_hit("default-shifted", contact, f"{changes[0][0]}.{contact.name}", f"{says}.", level="note")


def _config_of(sides: Sides, path: str, library: Library) -> Class | None:
    """The configuration that the base's constructor says it takes as `args`."""
    for owner in sides.bases(path, library):
        init = owner.members.get("__init__")
        if isinstance(init, Function):
            arguments = [*init.node.args.args, *init.node.args.kwonlyargs]
            annotation = next((a.annotation for a in arguments if a.arg in ("args", "config")), None)
            found = Reader(sides, library).typed(annotation, owner.module)
            return next((t.class_ for t in found if isinstance(t, Instance) and t.class_.is_dataclass), None)
    return None
