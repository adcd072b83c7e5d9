"""Calls and options, held against two versions."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..facts import UNTOLD, Origin
from ..values import same_value
from .code import Class, Function, Value
from .codebase import External
from .constructors import tuple_signature
from .contacts import Contact
from .given import Reader
from .hits import Hit, make_hit
from .judge_abstract import made_hits
from .judge_behaviour import refusal_hits, settled_hits
from .judge_kinds import kind_hits, unbound_hits
from .library import Library
from .sides import Sides, most_alike
from .signature import Argument, Misfit, Shape, Signature, default_text, is_required, misfits
from .syntax import last_name
from .things import Bound, Instance, Thing


def call_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """Arguments, defaults and results of one call."""
    old, new = (callee(sides, contact, library) for library in (sides.old, sides.new))
    if old is not None and new is not None and isinstance(old[0], Class) and isinstance(new[0], Class):
        yield from made_hits(sides, contact, old[0], new[0])
    if contact.detail == "instance" and old is not None and new is None:
        from .judge_names import name_hits

        yield from name_hits(sides, contact)
    if old is None:
        yield from value_hits(sides, contact)
    shape = contact.shape
    if old is None or new is None or shape is None:
        return
    path = f"{contact.path}.{contact.name}" if contact.name else contact.path
    if contact.path in sides.classes and not contact.name and isinstance(old[0], Class):
        path = old[0].path
    before, after = old[1], new[1]
    if before is not None and after is not None:
        yield from argument_changes(sides, contact, _without_self(shape, contact, old[0]), before, after, path, new[0])
    yield from result_changes(sides, contact, old[0], new[0], path)
    if isinstance(old[0], Function) and isinstance(new[0], Function):
        yield from kind_hits(sides, contact, old[0], new[0], path)
        yield from unbound_hits(sides, contact, old[0], new[0]) if not contact.name else ()
    if isinstance(old[0], Function | Class) and isinstance(new[0], Function | Class):
        yield from refusal_hits(sides, contact, old[0], new[0], path)
    if isinstance(old[0], Class) and isinstance(new[0], Class) and old[0].is_dataclass and before is not None:
        given = {*before.positional[: shape.count], *shape.keywords, *contact.words}
        yield from settled_hits(sides, contact, old[0], new[0], given, path) if not shape.double else ()


def value_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """A member of something that stands at the top of a module: `pkg.client.get()`."""
    owner, _, name = contact.path.rpartition(".")
    above = sides.old.one(owner) if owner else None
    inside = isinstance(above, External) and above.path.startswith(f"{sides.package}.")
    if contact.name or not (inside or isinstance(above, Value)):
        return
    from .judge_held import held_hits

    shape = contact.shape
    if shape is not None:
        shape = replace(shape, keywords=(*shape.keywords, *contact.words))
    held = replace(contact, kind="held", path=owner, name=name, words=(), detail="path", shape=shape)
    yield from held_hits(sides, held)


Callee = tuple[Function | Class | Value, Signature | None]


def callee(sides: Sides, contact: Contact, library: Library) -> Callee | None:
    """What a call reaches in one version, and how that is called."""
    if contact.path in sides.classes:
        if contact.name:
            member = sides.inherited(contact.path, library).get(contact.name)
            own = contact.name in sides.own.get(contact.path, ())
            return (member, member.signature) if isinstance(member, Function) and not own else None
        return _constructed(sides, contact.path, library)
    found = library.one(contact.path)
    if contact.name and isinstance(found, Class):
        member = library.members(found).get(contact.name)
        if isinstance(member, Value):
            return _behind(Reader(sides, library).follow([Instance(found)], (contact.name,)))
        return (member, member.signature) if isinstance(member, Function) and not member.is_property else None
    if isinstance(found, Value) and (fields := tuple_signature(found.node)) is not None:
        return found, fields
    if isinstance(found, External) and found.path.startswith(f"{sides.package}."):
        return _behind(Reader(sides, library).at(found.path))
    if isinstance(found, Value) and found.node is not None:
        return _behind(Reader(sides, library).at(contact.path))
    if isinstance(found, Function):
        return found, found.signature
    return (found, library.constructor(found)) if isinstance(found, Class) else None


def _behind(things: list[Thing]) -> Callee | None:
    """The function that a value is another name for."""
    only = things[0] if len(things) == 1 else None
    return (only.function, only.function.signature) if isinstance(only, Bound) and only.of is not None else None


def _constructed(sides: Sides, path: str, library: Library) -> Callee | None:
    """The constructor of a class of the project, if the package decides what it takes."""
    class_ = sides.classes[path]
    bases = sides.bases(path, library)
    if not bases:
        return None
    own = [k for k in sides.collection.codebase.chain(class_) if isinstance(k, Class)]
    signature = library.constructor(bases[0])
    if signature is None:
        return None
    for class_ in reversed(own):
        init = class_.members.get("__init__")
        if isinstance(init, Function) and not init.signature.is_open:
            if not (init.signature.named and class_.path in sides.passing):
                return None
            signature = init.signature.handing_on(signature)
    fields = [
        Argument(v.name, None if is_required(v.node) else default_text(v.node or ast.Constant(None)))
        for k in reversed(own)
        for v in k.fields()
    ]
    names = {f.name for f in fields}
    arguments = (*(a for a in signature.arguments if a.name not in names), *fields)
    return bases[0], Signature(arguments, signature.more, signature.named, signature.aliases)


def _without_self(shape: Shape, contact: Contact, target: Function | Class | Value) -> Shape:
    """`Class.method(self, x)` passes one argument less than it looks."""
    plain = isinstance(target, Function) and target.owner is not None and contact.detail != "instance"
    if plain and contact.kind == "call" and not contact.name and shape.count:
        if not {"staticmethod", "classmethod"} & (target.decorators if isinstance(target, Function) else set()):
            return Shape(shape.count - 1, shape.keywords, shape.splat, shape.double)
    return shape


def argument_changes(
    sides: Sides,
    contact: Contact,
    shape: Shape,
    before: Signature,
    after: Signature,
    path: str,
    target: Function | Class | Value,
) -> Iterator[Hit]:
    """Every way in which a call that was right is wrong, or means something else."""
    new_at = sides.new.origin(target)
    lines = dict(contact.lines)
    known = set(misfits(shape, before))
    found = list(misfits(shape, after))
    passed = before.positional[: shape.count] if any(misfit.what == "too many" for misfit in found) else []
    for misfit in found:
        if misfit.what == "missing" and misfit.name in (*contact.words, *passed):
            continue
        if misfit not in known and not (misfit.what == "too many" and any(m.what == "too many" for m in known)):
            yield _misfit_hit(contact, misfit, before, after, path, new_at, lines)
    for keyword in shape.keywords:
        if before.get(keyword) and not after.get(keyword) and after.named and keyword not in after.aliases:
            says = f"`{path}` has no argument `{keyword}` any more: `**kwargs` takes it."
            yield make_hit(
                "argument-swallowed", contact, f"{path}({keyword})", says, line=lines.get(keyword, 0), new_at=new_at
            )
    for index, (one, other) in enumerate(zip(before.positional[: shape.count], after.positional)):
        if one != other and one in after.positional:
            says = f"Argument {index + 1} of `{path}` is `{other}` now; it was `{one}`."
            fix = f"Pass `{one}=` by name."
            yield make_hit("argument-moved", contact, f"{path}({one})", says, fix=fix, new_at=new_at)
            break
    if not shape.splat and not shape.double:
        yield from default_changes(contact, shape, before, after, path, new_at)


def _misfit_hit(
    contact: Contact,
    misfit: Misfit,
    before: Signature,
    after: Signature,
    path: str,
    new_at: Origin | None,
    lines: dict[str, int],
) -> Hit:
    at: dict[str, Any] = {"new_at": new_at}
    if misfit.what == "unexpected":
        fresh = {a.name for a in after.arguments if before.get(a.name) is None}
        alike = most_alike(misfit.name, fresh)
        fix = f"`{alike}` is probably the same thing." if alike else ""
        says = f"`{path}` no longer takes `{misfit.name}`."
        line = lines.get(misfit.name, 0)
        return make_hit("argument-gone", contact, f"{path}({misfit.name})", says, fix=fix, line=line, **at)
    if misfit.what == "missing":
        says = f"`{path}` needs `{misfit.name}` now."
        return make_hit("argument-required", contact, f"{path}({misfit.name})", says, **at)
    says = f"`{path}` takes {len(after.positional)} arguments by position; this call passes {misfit.name}."
    return make_hit("argument-gone", contact, path, says, **at)


def default_changes(
    contact: Contact, shape: Shape, before: Signature, after: Signature, path: str, new_at: Origin | None
) -> Iterator[Hit]:
    """Defaults that the call leaves alone and that are others now."""
    given = {*before.positional[: shape.count], *shape.keywords, *contact.words}
    for argument in after.arguments:
        known = before.get(argument.name)
        was, now = known.default if known is not None else None, argument.default
        if argument.name not in given and was and now and UNTOLD not in (was, now) and not same_value(was, now):
            says = f"The default of `{argument.name}` of `{path}` changed: {was} -> {now}."
            fix = f"Pass `{argument.name}={was}` to keep what it did."
            yield make_hit("default-shifted", contact, f"{path}({argument.name})", says, fix=fix, new_at=new_at)


def result_changes(
    sides: Sides, contact: Contact, old: Function | Class | Value, new: Function | Class | Value, path: str
) -> Iterator[Hit]:
    """Results that no longer have the shape that the project takes apart."""
    if not isinstance(old, Function) or not isinstance(new, Function) or contact.unpacked is None:
        return
    was, now = (_tuple_size(sides, side, function) for side, function in ((sides.old, old), (sides.new, new)))
    if was == contact.unpacked and now is not None and now != was:
        says = f"`{path}` returns {now} values now; {contact.unpacked} are taken apart here."
        yield make_hit("result-changed", contact, path, says, new_at=sides.new.origin(new))
        return
    wanted = f"{contact.unpacked}-tuple"
    tuples = {shape for shape in new.results if shape.endswith("-tuple")}
    fits_before = wanted in old.results or "?" in old.results or not old.results
    if fits_before and new.results and wanted not in new.results and (tuples or new.results == {"dict"}):
        shown = " or ".join(sorted(new.results - {"?", "none"}))
        says = f"`{path}` returns a {shown} now; {contact.unpacked} values are taken apart here."
        at: dict[str, Any] = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
        yield make_hit("result-changed", contact, path, says, **at)


def _tuple_size(sides: Sides, library: Library, function: Function) -> int | None:
    """How many values the named tuple has that a function returns; None where it returns something else."""
    things = Reader(sides, library).result(function) if function.node.returns is not None else []
    only = things[0] if len(things) == 1 else None
    bases = only.class_.node.bases if isinstance(only, Instance) else []
    if not isinstance(only, Instance) or not any(last_name(base) == "NamedTuple" for base in bases):
        return None
    return len(library.fields(only.class_))


def option_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """An option that reaches the package through a dictionary."""
    if contact.path:
        old, new = (callee(sides, contact_without_name(contact), side) for side in (sides.old, sides.new))
        before, after = (old[1] if old else None), (new[1] if new else None)
        if before is None or after is None:
            return
        if before.get(contact.name) and not after.accepts(contact.name):
            shape = Shape(0, (contact.name,), True, True)
            misfit = next(m for m in misfits(shape, after) if m.what == "unexpected")
            at = sides.new.origin(new[0]) if new else None
            yield _misfit_hit(contact, misfit, before, after, contact.path, at, {})
        return
    yield from lost_option_hits(sides, contact)


def contact_without_name(contact: Contact) -> Contact:
    return Contact(contact.kind, contact.path, contact.place, "", contact.class_, guard=contact.guard)


def lost_option_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """A key that is the name of an option which the configurations of this project lose."""
    if contact.name in sides.own_fields:
        return
    lost, kept = [], []
    for old, new in sides.configs:
        if new is None or contact.name not in sides.old.fields(old):
            continue  # a configuration that is gone is told where it is imported
        if contact.name in sides.new.fields(new) or contact.name in sides.new.foreign_names(new):
            kept.append(old.name)
        else:
            lost.append((old, new))
    if not lost:
        return
    old, new = lost[0]
    owners = ", ".join(f"`{one.name}`" for one, _ in lost[:4])
    fresh = set(sides.new.fields(new)) - set(sides.old.fields(old))
    alike = most_alike(contact.name, fresh)
    yield make_hit(
        "option-gone",
        contact,
        f"{old.path}.{contact.name}",
        f"{owners} no longer {'has' if len(lost) == 1 else 'have'} option `{contact.name}`.",
        fix=f"`{alike}` is probably the same thing." if alike else "",
        old_at=sides.old.origin(sides.old.fields(old)[contact.name]),
        new_at=sides.new.origin(new),
        level="note" if kept else "warning",
        cause=f"option-gone {contact.name}",
    )
