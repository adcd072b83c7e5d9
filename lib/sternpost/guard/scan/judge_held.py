"""Members of what an attribute holds: `self.generation.sync()`, where the package says what `generation` is."""

import ast
from collections.abc import Iterable, Iterator

from .code import Class, Function, Module, SelfUse, Value
from .contacts import Contact
from .hits import Hit, make_hit
from .judge_calls import argument_changes, result_changes
from .library import Library
from .sides import Sides, most_alike
from .syntax import alternatives, dotted


def held_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """A member that the class of what is held no longer has, or that is called otherwise now."""
    before, after = (_classes(sides, contact, library) for library in (sides.old, sides.new))
    old = next((m for class_ in before if (m := sides.old.members(class_).get(contact.name)) is not None), None)
    if old is None or not after:
        return
    new = next((m for class_ in after if (m := sides.new.members(class_).get(contact.name)) is not None), None)
    path = f"{after[0].path}.{contact.name}"
    if new is None and not any(sides.new.may_inherit(class_, contact.name) for class_ in after):
        fresh = set(sides.new.members(after[0])) - {name for k in before for name in sides.old.members(k)}
        alike = most_alike(contact.name, fresh)
        held = ".".join(contact.words)
        says = f"`{after[0].path}`, which `{held}` holds, has no `{contact.name}` any more."
        fix = f"`{alike}` is probably the same thing." if alike else ""
        at = None if isinstance(old, SelfUse) else sides.old.origin(old)
        yield make_hit("member-gone", contact, path, says, fix=fix, old_at=at, new_at=sides.new.origin(after[0]))
    elif isinstance(old, Function) and isinstance(new, Function) and contact.shape is not None:
        if not old.is_property and not new.is_property:
            yield from argument_changes(sides, contact, contact.shape, old.signature, new.signature, path, new)
            yield from result_changes(sides, contact, old, new, path)


def _classes(sides: Sides, contact: Contact, library: Library) -> list[Class]:
    """The package's classes that what is held may be of, in one version; none if the project itself sets it."""
    first, *others = contact.words
    if contact.path in sides.classes:
        own = first in sides.own.get(contact.path, ())
        owners = [] if own else sides.bases(contact.path, library)
    else:
        class_ = library.class_at(contact.path)
        owners = own_part(library, class_) if class_ is not None else []
    found = held(library, owners, first)
    for name in others:
        found = [inner for class_ in found for inner in held(library, own_part(library, class_), name)]
    return found


def own_part(library: Library, class_: Class) -> list[Class]:
    """The class and its bases in the package."""
    return [owner for owner in library.chain(class_) if isinstance(owner, Class)]


def held(library: Library, owners: Iterable[Class], name: str) -> list[Class]:
    """The classes of the package that an attribute may hold, by annotations, constructors and what functions return."""
    owners = list(owners)
    for owner in owners:
        member = owner.members.get(name)
        if isinstance(member, Function):
            return named(library, member.node.returns, owner.module) if member.is_property else []
        if isinstance(member, Value):
            return named(library, member.annotation, owner.module) or _made(library, member.node, owner.module, None)
    for owner in owners:
        for use in owner.uses.writes:
            if use.name == name and (found := _assigned(library, use, owner)):
                return found
    return []


def named(library: Library, annotation: ast.expr | None, module: Module) -> list[Class]:
    """The classes of the package that an annotation names."""
    names = [dotted(name) for name in alternatives(annotation)]
    found = (entity for name in names if name for entity in library.codebase.lookup(name, module))
    return [entity for entity in found if isinstance(entity, Class)]


def _assigned(library: Library, use: SelfUse, owner: Class) -> list[Class]:
    """What one `self.name = ...` sets."""
    method = owner.members.get(use.method)
    for node in ast.walk(method.node) if isinstance(method, Function) else ():
        if isinstance(node, ast.AnnAssign) and node.target is use.node:
            return named(library, node.annotation, owner.module)
        if isinstance(node, ast.Assign) and use.node in node.targets and isinstance(method, Function):
            return _made(library, node.value, owner.module, method)
    return []


def _made(library: Library, value: ast.expr | None, module: Module, method: Function | None) -> list[Class]:
    """What an expression gives: an instance, what a function says it returns, what an argument is said to be."""
    if isinstance(value, ast.IfExp):
        return [k for part in (value.body, value.orelse) for k in _made(library, part, module, method)]
    if isinstance(value, ast.BoolOp):
        return [k for part in value.values for k in _made(library, part, module, method)]
    if isinstance(value, ast.Name) and method is not None:
        arguments = method.node.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if argument.arg == value.id:
                return named(library, argument.annotation, module)
    name = dotted(value.func) if isinstance(value, ast.Call) else None
    found: list[Class] = []
    for entity in library.codebase.lookup(name, module) if name else ():
        if isinstance(entity, Class):
            found.append(entity)
        elif isinstance(entity, Function):
            found += named(library, entity.node.returns, entity.module)
    return found
