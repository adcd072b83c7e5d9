"""Names, dotted paths in strings, patches and reflection, held against two versions."""

import ast
import re
from collections.abc import Iterator
from typing import Any

from .code import Class, Function, Module
from .codebase import Entity, External
from .contacts import Contact
from .hits import Hit, make_hit
from .judge_behaviour import fresh_refusals, told
from .judge_calls import value_hits
from .judge_classes import known_elsewhere
from .judge_kinds import kind_hits
from .library import Library
from .sides import Sides, most_alike
from .signature import Misfit, Shape, Signature, misfits

_WARNS = re.compile(r"(FutureWarning|DeprecationWarning)|\bdeprecated\(")
MAX_LISTED = 6


def name_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """Something imported or read by its path."""
    if contact.detail in ("instance", "written"):
        yield from _instance_hits(sides, contact)
        return
    if sides.new.has(contact.path):
        yield from list(_deprecation_hits(sides, contact)) or _made_up_hits(sides, contact)
        yield from value_hits(sides, contact) if contact.kind == "attribute" else ()
        yield from _undefined_hits(sides, contact)
    elif sides.old.has(contact.path) or not sides.reached_before(contact.guard):
        path = first_missing(contact.path, sides.new)
        what = "module " if isinstance(sides.old.one(path), Module) else ""
        yield make_hit(
            "name-gone",
            contact,
            contact.path,
            f"{what}`{path}` is no longer there."
            + (f" `{contact.path}` went with it." if path != contact.path else ""),
            fix=sides.instead(contact.path) or (sides.instead(path) if path != contact.path else ""),
            old_at=sides.old.origin(sides.old.one(contact.path)),
            cause=f"name-gone {path}",
        )


def _undefined_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """A member that a class of the package defined, and that only its bases in other libraries may have now."""
    owner, _, name = contact.path.rpartition(".")
    old, new = sides.old.class_at(owner), sides.new.class_at(owner)
    if old is None or new is None or not sides.new.has_unknown_base(new) or name.startswith("__"):
        return
    if name in sides.old.members(old) and name not in sides.new.members(new):
        if name not in sides.new.foreign_names(new):
            says = f"`{owner}` no longer defines `{name}`: only a base in another library may have it."
            at: dict[str, Any] = {"old_at": sides.old.origin(sides.old.one(contact.path))}
            fix = _member_instead(name, set(sides.old.members(old)), set(sides.new.members(new)))
            yield make_hit("name-gone", contact, contact.path, says, fix=fix, level="warning", **at)


def first_missing(path: str, library: Library) -> str:
    """The shortest beginning of a path that is not there."""
    parts = path.split(".")
    return next((p for n in range(1, len(parts)) if not library.has(p := ".".join(parts[:n]))), path)


def _instance_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """An attribute of an instance of the package's class, or of a project's class that derives from one."""
    old, new = sides.old.class_at(contact.path), sides.new.class_at(contact.path)
    if contact.path in sides.classes:
        if contact.name in sides.own.get(contact.path, ()):
            return
        before, after = (sides.inherited(contact.path, side) for side in (sides.old, sides.new))
        known = sides.has_all_bases(contact.path, sides.new) and not known_elsewhere(sides, contact.path, contact.name)
        unsure = False
    elif old is not None and new is not None:
        before, after, unsure = sides.old.members(old), sides.new.members(new), sides.new.has_unknown_base(new)
        known = unsure or contact.name in after or not sides.new.may_inherit(new, contact.name)
    else:
        return
    if contact.name == "__iter__" and "__getitem__" in after:
        return
    if known and contact.name in before and contact.name not in after:
        written = contact.detail == "written"
        yield make_hit(
            "write-dead" if written else "member-gone",
            contact,
            f"{contact.path}.{contact.name}",
            f"`{contact.path}` no longer has `{contact.name}`" + (": setting it has no effect." if written else "."),
            fix=_member_instead(contact.name, set(before), set(after)),
            level="warning" if unsure else None,
            old_at=sides.old.origin(before[contact.name], sides.old.owner_of(old, contact.name) if old else None),
        )
    elif known and contact.name in before and contact.name in after:
        path = f"{contact.path}.{contact.name}"
        yield from kind_hits(sides, contact, before[contact.name], after[contact.name], path)


def _member_instead(name: str, before: set[str], after: set[str]) -> str:
    alike = most_alike(name, after - before)
    return f"`{alike}` is probably the same thing." if alike else ""


def _deprecation_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    old, new = sides.old.one(contact.path), sides.new.one(contact.path)
    if _lazily_deprecated(sides.new, contact.path) and not _lazily_deprecated(sides.old, contact.path):
        says = f"`{contact.path}` warns from this version on that it is deprecated."
        fix = sides.instead(contact.path)
        yield make_hit("deprecated", contact, contact.path, says, fix=fix, old_at=sides.old.origin(old))
    elif isinstance(new, Class | Function) and isinstance(old, Class | Function):
        if _is_deprecated(new) and not _is_deprecated(old):
            moved = sides.moved_to(f"{contact.path}") if isinstance(new, Class) else None
            fix = f"Use `{moved}`." if moved and moved != contact.path and moved != new.path else ""
            says = f"`{contact.path}` is deprecated from this version on."
            at: dict[str, Any] = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
            yield make_hit("deprecated", contact, contact.path, says, fix=fix, **at)


def _made_up_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """A name that was defined, and that now only a `__getattr__` of its module may know."""
    owner, _, name = contact.path.rpartition(".")
    before, module = (side.one(owner) if owner else None for side in (sides.old, sides.new))
    if not isinstance(before, Module) or name not in before.bindings or not isinstance(module, Module):
        return
    gone = "__getattr__" in module.bindings and name not in module.bindings and name not in module.lazy
    if gone and isinstance(sides.new.one(contact.path), External):
        old = sides.old.one(contact.path)
        says = f"`{contact.path}` is no longer defined: whether `{module.path}.__getattr__` knows it cannot be told."
        yield make_hit("name-gone", contact, contact.path, says, level="warning", old_at=sides.old.origin(old))


def _lazily_deprecated(library: Library, path: str) -> bool:
    """Whether a name comes from a `__getattr__` of its module that warns when this name is asked for."""
    owner, _, name = path.rpartition(".")
    module = library.one(owner) if owner else None
    if not isinstance(module, Module) or name in module.bindings:
        return False
    functions = [one for one in module.bindings.get("__getattr__", ()) if isinstance(one, Function)]
    texts = [ast.unparse(function.node) for function in functions]
    return any(repr(name) in text and _WARNS.search(text) for text in texts)


def _is_deprecated(entity: Class | Function) -> bool:
    """Whether calling it always warns: a decorator says so, or a warning stands at the top of its body."""
    function = entity if isinstance(entity, Function) else entity.members.get("__init__")
    nodes: list[ast.AST] = list(entity.node.decorator_list)
    if isinstance(function, Function):
        nodes += [s for s in function.node.body if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)]
        given = {a.arg for a in [*function.node.args.args[1:], *function.node.args.kwonlyargs]}  # warns of one of these
        branches = [s for s in function.node.body if isinstance(s, ast.If) and isinstance(entity, Class)][:2]
        nodes += [s for s in branches if not any(isinstance(n, ast.Name) and n.id in given for n in ast.walk(s.test))]
    return any(_WARNS.search(ast.unparse(node)) for node in nodes)


def string_path_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """A dotted path in a string."""
    if contact.detail == "pattern":
        yield from _pattern_hits(sides, contact)
        return
    found = sides.old.one(contact.path) if sides.old.has(contact.path) else None
    if found is None or sides.new.has(contact.path):
        return
    path = first_missing(contact.path, sides.new)
    yield make_hit(
        "string-path-gone",
        contact,
        contact.path,
        f"`{path}` is no longer there: the string leads nowhere.",
        fix=sides.instead(contact.path),
        old_at=sides.old.origin(found),
        level=None if contact.detail == "whole" else "warning",
        cause=f"name-gone {path}",
    )


def _pattern_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    pattern = re.compile(re.escape(contact.path).replace(r"\*", r"\w+"))
    owner, _, last = contact.path.rpartition(".")
    old, new = (side.class_at(owner) if "*" not in owner else None for side in (sides.old, sides.new))
    if "*" in last and old is not None and new is not None:
        member = re.compile(re.escape(last).replace(r"\*", r"\w+"))
        before, after = (
            {n for n, m in side.members(class_).items() if isinstance(m, Function) and member.fullmatch(n)}
            for side, class_ in ((sides.old, old), (sides.new, new))
        )
        if before - after:
            says = f"No longer found by this pattern: {listed(sorted(before - after))}."
            yield make_hit("names-gone", contact, contact.path, says)
    matched = {m for m in sides.old.codebase.where if pattern.fullmatch(m)}
    lost = sorted(m for m in matched if m not in sides.new.codebase.where)
    yield from _found_hits(sides, contact, [pair for m in sorted(matched - set(lost)) for pair in _classes(sides, m)])
    if lost:
        yield make_hit("names-gone", contact, contact.path, f"No longer found by this pattern: {listed(lost)}.")


def _classes(sides: Sides, module: str) -> Iterator[tuple[Class, Class]]:
    """The classes that a module defines in both versions."""
    old = sides.old.codebase.module(module)
    for definitions in old.bindings.values() if old is not None else ():
        for one in definitions:
            other = sides.new.class_at(f"{module}.{one.name}") if isinstance(one, Class) else None
            if isinstance(one, Class) and other is not None:
                yield one, other


def _found_hits(sides: Sides, contact: Contact, classes: list[tuple[Class, Class]]) -> Iterator[Hit]:
    """What changed in classes that a project reaches by a pattern: what it does with each is not known."""
    gone, settled, refusing = [], [], []
    for old, new in classes:
        if fresh := fresh_refusals(sides, old, new):
            refusing.append(f"`{old.name}`: {told(fresh)}")
        if old.is_dataclass:
            kept = sides.new.fields(new).keys() | sides.new.foreign_names(new)
            if lost := sorted(sides.old.fields(old).keys() - kept):
                gone.append(f"{listed(lost)} of `{old.name}`")
            if names := list(sides.newly_settled(old, new)):
                settled.append(f"{listed(names)} of `{old.name}`")
    if gone:
        says = f"Options are gone from configurations that this pattern finds: {'; '.join(gone)}."
        yield make_hit("option-gone", contact, contact.path, says, level="note")
    if settled:
        says = f"Configurations that this pattern finds set options themselves now: {'; '.join(settled)}."
        yield make_hit("default-shifted", contact, contact.path, says, level="note")
    if refusing:
        says = f"Classes that this pattern finds refuse more now: {'; '.join(refusing)}."
        yield make_hit("refuses", contact, contact.path, says)


def listed(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:MAX_LISTED])
    return shown + (f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else "")


# ---- Patches


def patch_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """Something of the package that is replaced at run time."""
    path = f"{contact.path}.{contact.name}"
    if not sides.new.has(contact.path):
        return  # told where it is imported
    before, after = sides.old.has(path), _has_member(sides.new, contact.path, contact.name)
    before = before or _has_member(sides.old, contact.path, contact.name)
    if before and not after:
        yield make_hit(
            "patch-dead",
            contact,
            path,
            f"`{path}` is no longer there: replacing it has no effect.",
            fix=sides.instead(path),
            old_at=sides.old.origin(sides.old.one(path)),
        )
    elif after and not before and sides.old.has(contact.path):
        says = f"`{path}` is new in this version, and the patch hides it."
        yield make_hit("patch-new", contact, path, says, new_at=sides.new.origin(sides.new.one(path)))
    elif after:
        yield from _replacement_hits(sides, contact, path)


def _has_member(library: Library, path: str, name: str) -> bool:
    if library.has(f"{path}.{name}") and not name.startswith("__"):
        return True
    owner = library.class_at(path)
    return owner is not None and name in library.members(owner)


def _replacement_hits(sides: Sides, contact: Contact, path: str) -> Iterator[Hit]:
    old, new = sides.old.one(path), sides.new.one(path)
    if not isinstance(old, Function) or not isinstance(new, Function):
        return
    if text_of(old) != text_of(new):
        at: dict[str, Any] = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
        says = f"`{path}`, which is replaced here, has changed: what takes its place may have to follow."
        yield make_hit("patch-behind", contact, path, says, **at)
    signature = contact.signature
    if signature is None:
        return
    if new.owner is not None and "staticmethod" not in new.decorators:
        signature = Signature(signature.arguments[1:], signature.more, signature.named)
    called = contact.path.rpartition(".")[2] if contact.name == "__init__" else contact.name
    before, after = (calls_misfit(side, called, signature) for side in (sides.old, sides.new))
    broken = sorted(m.name for m in after - before)
    at = {"old_at": sides.old.origin(old), "new_at": sides.new.origin(new)}
    if broken:
        says = f"`{sides.package}` now calls `{path}` with {listed(broken)}, which the replacement does not take."
        yield make_hit("patch-argument", contact, path, says, **at)
    lacking = lacks(old, new, signature)
    if lacking and not broken:
        says = f"`{path}` now takes {listed(lacking)}, which the replacement does not."
        yield make_hit("patch-narrow", contact, path, says, **at)


def calls_misfit(library: Library, name: str, signature: Signature) -> set[Misfit]:
    """What is wrong with the package's own calls of something, if this takes its place."""
    found: set[Misfit] = set()
    for call in library.calls_of(name):
        found |= set(misfits(Shape.of(call), signature))
    return found


def lacks(old: Function, new: Function, signature: Signature) -> list[str]:
    """Arguments that are new in a method and that a replacement of it does not take."""
    fresh = [a.name for a in new.signature.arguments if old.signature.get(a.name) is None]
    spare = len(signature.positional) - len(old.signature.positional)
    if signature.more and signature.named:
        return []
    return [name for name in fresh if not signature.accepts(name)][max(spare, 0) :]


def text_of(entity: Entity) -> str:
    """The code of a definition, without its docstring and comments."""
    if not isinstance(entity, Class | Function):
        return ""
    body = entity.node.body[1:] if ast.get_docstring(entity.node, clean=False) is not None else entity.node.body
    return "\n".join([entity.signature.shown() if isinstance(entity, Function) else "", *map(ast.dump, body)])
