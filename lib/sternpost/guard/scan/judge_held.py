"""Members of what attributes hold and calls give: `self.generation.sync()`, `make().sync()`, as the package says."""

import re
from collections.abc import Iterator

from .code import Class, Function, SelfUse
from .contacts import Contact
from .given import Reader
from .hits import Hit, Level, make_hit
from .judge_calls import argument_changes, result_changes
from .judge_kinds import kind_hits
from .library import Library
from .meanings import AWAIT, CALL, ENTER, ITEM
from .sides import Sides, most_alike
from .things import Instance, Thing


def held_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """A member that the class of what is held no longer has, or that is called otherwise now."""
    old_things, new_things = (_things(sides, contact, library) for library in (sides.old, sides.new))
    before, after = (_instances(things) for things in (old_things, new_things))
    readers = Reader(sides, sides.old), Reader(sides, sides.new)
    old = next((m for t in before if (m := readers[0].members(t).get(contact.name)) is not None), None)
    if old is None or not after:
        return
    new = next((m for t in after if (m := readers[1].members(t).get(contact.name)) is not None), None)
    first = after[0].class_
    path = f"{first.path}.{contact.name}"
    if new is None and not any(sides.new.may_inherit(t.class_, contact.name) for t in after):
        fresh = set(readers[1].members(after[0])) - {name for t in before for name in readers[0].members(t)}
        alike = most_alike(contact.name, fresh)
        says = f"`{first.path}`, which {_shown(contact)}, has no `{contact.name}` any more."
        fix = f"`{alike}` is probably the same thing." if alike else ""
        at = None if isinstance(old, SelfUse) else sides.old.origin(old)
        unsure = None in new_things or _derived(sides.new, after, contact.name)
        level: Level | None = "warning" if unsure else None
        new_at = sides.new.origin(first)
        yield make_hit("member-gone", contact, path, says, fix=fix, old_at=at, new_at=new_at, level=level)
    elif isinstance(old, Function) and isinstance(new, Function) and contact.shape is not None:
        if not old.is_property and not new.is_property:
            yield from argument_changes(sides, contact, contact.shape, old.signature, new.signature, path, new)
            yield from result_changes(sides, contact, old, new, path)
    if new is not None:
        yield from kind_hits(sides, contact, old, new, path)


def _things(sides: Sides, contact: Contact, library: Library) -> list[Thing]:
    """What the steps of a contact lead to in one version; nothing where the project itself has a say."""
    if contact.path in sides.classes:
        own = sides.own.get(contact.path, set())
        if contact.words[0] in own or contact.name in own or not sides.has_all_bases(contact.path, library):
            return []
    key = f"steps {contact.detail} {contact.path} {' '.join(contact.words)}"
    memo = library.codebase.memo
    if key not in memo or contact.path in sides.classes:
        reader = Reader(sides, library)
        start = reader.at(contact.path) if contact.detail == "path" else reader.instance(contact.path)
        memo[key] = reader.follow(start, contact.words)
    found = memo[key]
    return found if isinstance(found, list) else []


def _instances(things: list[Thing]) -> list[Instance]:
    return [thing for thing in things if isinstance(thing, Instance)]


def _derived(library: Library, things: list[Instance], name: str) -> bool:
    """Whether a class of the package that derives from one of these has a member, and may be what is meant."""
    classes = {thing.class_ for thing in things}
    bases = "|".join(re.escape(class_.name) for class_ in classes)
    pattern = re.compile(rf"^[ \t]*class[ \t]+(\w+)\s*\([^()]*\b(?:{bases})\b", re.M)
    for file, text in library.texts.items():
        for found in pattern.findall(text):
            module = library.codebase.module(library.codebase.modules_in[file])
            for class_ in module.bindings.get(found, ()) if module is not None else ():
                if isinstance(class_, Class) and classes & set(library.chain(class_)) and name in class_.members:
                    return True
    return False


def _shown(contact: Contact) -> str:
    """`make().server`, as far as the contact says how the project gets at it."""
    text = contact.path.rpartition(".")[2] if contact.detail == "path" or contact.words[:1] == (ENTER,) else ""
    for step in contact.words:
        text += "" if step in (AWAIT, ENTER) else step if step == CALL else "[...]" if step == ITEM else f".{step}"
    return f"`{text.lstrip('.')}` {'gives' if {CALL, ENTER} & set(contact.words) else 'holds'}"
