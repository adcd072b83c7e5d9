"""Members of an Enum that the project looks up by their names or values: `E["B"]`, `E("b")`."""

import ast
from collections.abc import Iterator

from .code import Class, Value
from .codebase import External
from .contacts import Contact
from .hits import Hit, make_hit
from .library import Library
from .sides import Sides


def enum_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """A name or value that none of the members has any more."""
    old, new = sides.old.class_at(contact.path), sides.new.class_at(contact.path)
    if old is None or new is None or not (_is_enum(sides.old, old) and _is_enum(sides.new, new)):
        return
    before, after = _members(sides.old, old), _members(sides.new, new)
    by_name = contact.detail == "name"
    was = before.keys() if by_name else before.values()
    now = after.keys() if by_name else after.values()
    if contact.name not in was or contact.name in now or (not by_name and "" in now):
        return
    shown = repr(contact.name) if by_name else contact.name
    certain = "_missing_" not in sides.new.members(new) and not new.node.keywords
    yield make_hit(
        "name-gone",
        contact,
        f"{contact.path}[{shown}]" if by_name else f"{contact.path}({shown})",
        f"`{contact.path}` no longer has a member {'called' if by_name else 'of value'} {shown}.",
        new_at=sides.new.origin(new),
        level=None if certain or by_name else "warning",
    )


def _is_enum(library: Library, class_: Class) -> bool:
    outside = [base.path for base in library.chain(class_) if isinstance(base, External)]
    return any(path.startswith("enum.") for path in outside)


def _members(library: Library, class_: Class) -> dict[str, str]:
    """The value of each member as Python writes it; empty where only running can tell."""
    found: dict[str, str] = {}
    for name, member in library.members(class_).items():
        if isinstance(member, Value) and member.node is not None and not name.startswith("_"):
            found[name] = ast.unparse(member.node) if isinstance(member.node, ast.Constant) else ""
    return found
