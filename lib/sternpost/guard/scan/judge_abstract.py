"""Classes that cannot be made any more: a base leaves methods to its subclasses that the project does not have."""

from collections.abc import Iterator
from dataclasses import replace

from .code import Class, Function
from .codebase import External
from .contacts import Contact, Place
from .hits import Hit, Level, make_hit
from .library import Library
from .sides import Sides
from .standard import standard_members

_ABSTRACT = {"abstractmethod", "abstractproperty", "abstractclassmethod", "abstractstaticmethod"}


def abstract_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """Methods that a base leaves to its subclasses now, and that a class of the project does not have."""
    top, base = sides.classes.get(contact.class_), sides.new.class_at(contact.path)
    for class_ in sides.collection.classes if top is not None and base is not None else ():
        if base is None or top not in sides.collection.codebase.chain(class_) or _is_base(sides, class_):
            continue
        before, after = (_left(_owners(sides, class_, library)) for library in (sides.old, sides.new))
        fresh = sorted(name for name in after if name not in before and name in sides.new.members(base))
        if fresh and sides.has_all_bases(class_.path, sides.new):
            here = replace(contact, place=Place(class_.module.file, class_.line), class_=class_.path)
            yield from _hits(sides, here, class_.path, fresh, base, _owners(sides, class_, sides.new))


def made_hits(sides: Sides, contact: Contact, old: Class, new: Class) -> Iterator[Hit]:
    """A class of the package that is made here, and that only its subclasses can be made of now."""
    if contact.path in sides.classes:
        return
    fresh = sorted(_left(sides.new.chain(new))) if not _left(sides.old.chain(old)) else []
    if fresh:
        yield from _hits(sides, contact, contact.path, fresh, new, sides.new.chain(new))


def _hits(
    sides: Sides, contact: Contact, path: str, names: list[str], base: Class, owners: list[Class | External]
) -> Iterator[Hit]:
    checked = _is_checked(owners)
    outside = [owner.path for owner in owners if isinstance(owner, External)]
    if checked is False:
        return
    level: Level = "error" if checked and all(standard_members(base) or _plain(base) for base in outside) else "warning"
    listed = ", ".join(f"`{name}`" for name in names)
    says = f"`{path}` cannot be made any more: `{base.path}` leaves {listed} to its subclasses."
    symbol = f"{contact.path}.{names[0]}"
    yield make_hit("abstract-new", contact, symbol, says, new_at=sides.new.origin(base), level=level)


def _plain(base: str) -> bool:
    return base.rpartition(".")[2] in ("Protocol", "Generic", "object")


def _owners(sides: Sides, class_: Class, library: Library) -> list[Class | External]:
    """A class of the project with all its bases, those of the package as one version has them."""
    found: list[Class | External] = []
    for base in sides.collection.codebase.chain(class_):
        inside = isinstance(base, External) and base.path.startswith(f"{sides.package}.")
        known = library.class_at(base.path) if inside else None
        found += library.chain(known) if known is not None else [base]
    return found


def _left(owners: list[Class | External]) -> set[str]:
    """The methods that stay abstract."""
    seen: set[str] = set()
    left: set[str] = set()
    for owner in owners:
        for name, member in owner.members.items() if isinstance(owner, Class) else ():
            if name not in seen and isinstance(member, Function) and member.decorators & _ABSTRACT:
                left.add(name)
            seen.add(name)
    return left


def _is_checked(owners: list[Class | External]) -> bool | None:
    """Whether Python refuses to make classes with abstract methods: by their metaclass. None where it is not known."""
    for owner in owners:
        if isinstance(owner, Class):
            named = [getattr(k.value, "attr", getattr(k.value, "id", "")) for k in owner.node.keywords]
            if any("ABC" in name for name in named):
                return True
        elif owner.path.rpartition(".")[2] in ("ABC", "Protocol") or owner.path.startswith("collections.abc."):
            return True
    outside = [owner.path for owner in owners if isinstance(owner, External)]
    return False if all(standard_members(path) is not None or _plain(path) for path in outside) else None


def _is_base(sides: Sides, class_: Class) -> bool:
    """Whether it is meant to be derived from: it has abstract methods itself, or others derive from it."""
    if any(isinstance(m, Function) and m.decorators & _ABSTRACT for m in class_.members.values()):
        return True
    others = (sides.collection.codebase.chain(other) for other in sides.collection.classes if other is not class_)
    return any(class_ in chain for chain in others)
