"""From a project to its contacts: which files matter, what each does, and what that means for each class."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ..facts import Origin, Problem
from .code import Class, Function, Value
from .codebase import Codebase, External
from .contacts import Contact, Guard, Place
from .files import Files
from .walker import Walker

_REQUIREMENT = r"(?<![\w.-]){}(?:\[[^\]]*\])?\s*\(?((?:[<>=!~]=?=?\s*[\w.*+!-]+\s*,?\s*)+)"
_METADATA = ("METADATA", "PKG-INFO", "pyproject.toml", "setup.cfg", "setup.py")
MAX_ROUNDS = 8


@dataclass
class Collection:
    """All contacts of a project with one package."""

    package: str
    codebase: Codebase
    contacts: list[Contact] = field(default_factory=list)
    classes: list[Class] = field(default_factory=list)
    """The project's classes that derive from the package."""
    words: dict[str, list[tuple[Place, Guard]]] = field(default_factory=dict)
    """Strings that are spelled like a key or a name, in the files that touch the package."""
    contents: dict[str, bytes] = field(default_factory=dict)
    """The content of every Python file."""
    walked: frozenset[str] = frozenset()
    source_folders: frozenset[str] = frozenset()
    """Folders with a file that reads source code: what is searched for there may be the package's."""

    @property
    def problems(self) -> list[Problem]:
        return self.codebase.problems


def collect(files: Files, package: str) -> Collection:
    """Every contact of a project with a package, in the order of files and lines."""
    codebase = Codebase(files)
    collection = Collection(package, codebase)
    for path in files.paths:
        if path.endswith(".py"):
            try:
                collection.contents[path] = data = files.read(path)
                if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    codebase.problems.append(Problem(Origin(path), "cannot be read: Python takes no UTF-16"))
            except (OSError, ValueError) as error:
                codebase.problems.append(Problem(Origin(path), f"cannot be read: {error}"))
    walkers = _walk(collection)
    events = [contact for walker in walkers for contact in walker.contacts]
    for walker in walkers:
        if "getsource" in walker.module.text or "getfile" in walker.module.text:
            collection.source_folders |= {walker.module.file.rpartition("/")[0]}
        for word, places in walker.texts.words.items():
            collection.words.setdefault(word, []).extend(places)
    bound = ("self-read", "self-write", "super")
    own = [c for c in events if c.kind in bound or (c.kind in ("argument-read", "held") and c.detail == "self")]
    collection.contacts = [c for c in events if c.kind not in bound and (c.kind != "held" or c.path)]
    direct = {c.class_ for c in events if c.kind == "call" and c.method == "__init__" and c.path.endswith(".__init__")}
    collection.contacts += _class_contacts(collection, walkers, own, direct)
    collection.contacts += _requirements(files, package)
    codebase.forget_bodies()
    collection.contacts.sort(key=lambda c: (c.place.file, c.place.line, c.place.column, c.kind, c.path, c.name))
    return collection


def _walk(collection: Collection) -> list[Walker]:
    """Files that name the package, then those that name a class deriving from it, and so on."""
    package, codebase = collection.package, collection.codebase
    word = re.compile(rb"(?<![A-Za-z0-9_])" + re.escape(package.encode()) + rb"(?![A-Za-z0-9_])")
    ahead = [path for path, data in collection.contents.items() if word.search(data)]
    walkers: dict[str, Walker] = {}
    known: set[str] = set()
    codebase.relevant = frozenset(ahead)
    for _ in range(MAX_ROUNDS):
        for path in ahead:
            module = codebase.module(codebase.modules_in[path]) if path in codebase.modules_in else None
            if module is None or path in walkers:
                continue
            walkers[path] = walker = Walker(module, codebase, package)
            try:
                walker.run()
            except RecursionError:
                codebase.problems.append(Problem(Origin(path), "is nested too deeply to be followed"))
        derived = [c for walker in walkers.values() for c in walker.classes if _base_in(c, codebase, package)]
        collection.classes = derived
        fresh = {c.name for c in derived} - known
        known |= fresh
        names = [name.encode() for name in fresh if "@" not in name]
        mixins = {k.module.file for c in derived for k in codebase.chain(c) if isinstance(k, Class)}
        ahead = [
            path
            for path, data in collection.contents.items()
            if path not in walkers and (path in mixins or any(name in data for name in names))
        ]
        codebase.relevant |= frozenset(ahead)
        if not ahead:
            break
    collection.walked = frozenset(walkers)
    return [walkers[path] for path in sorted(walkers)]


def _base_in(class_: Class, codebase: Codebase, package: str) -> str | None:
    """The first base of a class that is in the package."""
    for base in codebase.chain(class_):
        if isinstance(base, External) and (base.path == package or base.path.startswith(f"{package}.")):
            return base.path
    return None


def _class_contacts(
    collection: Collection, walkers: list[Walker], events: list[Contact], direct: set[str]
) -> list[Contact]:
    """What each class that derives from the package overrides, reads, sets and calls, mixins included.

    `direct`: classes whose constructor calls that of a base by its name.
    """
    by_class: dict[str, list[Contact]] = {}
    for event in events:
        by_class.setdefault(event.class_, []).append(event)
    found: list[Contact] = []
    guards = {c.path: w.guard_of.get(id(c.node), Guard()) for w in walkers for c in w.classes}
    derived = {class_.path for class_ in collection.classes}
    for class_ in collection.classes:
        guard = guards.get(class_.path, Guard())
        chain = collection.codebase.chain(class_)
        own = [k for k in chain if isinstance(k, Class)]
        # What another class that derives from the package does is judged there; mixins are judged with each user.
        here = [k for k in own if k is class_ or k.path not in derived]
        found += _subclass(class_, collection, guard)
        before = [k for k in _before_package(chain, collection.package) if k in here]
        found += [c for k in before for c in _overrides(class_, k, guard)]
        found += [replace(e, path=class_.path, class_=class_.path) for k in here for e in by_class.get(k.path, ())]
        found += [] if direct & {k.path for k in own} else _bypass(class_, own, by_class, guard)
    return found


def _before_package(chain: list[Class | External], package: str) -> Iterator[Class]:
    """The project's classes whose members come before those of the package's base."""
    for base in chain:
        if isinstance(base, External) and base.path.startswith(f"{package}."):
            return
        if isinstance(base, Class):
            yield base


def _subclass(class_: Class, collection: Collection, guard: Guard) -> Iterator[Contact]:
    for base in collection.codebase.bases(class_):
        if isinstance(base, External) and base.path.startswith(f"{collection.package}."):
            place = Place(class_.module.file, class_.line)
            words = tuple(sorted(class_.members))
            yield Contact("subclass", base.path, place, "", class_.path, guard=guard, words=words)


def _overrides(class_: Class, owner: Class, guard: Guard) -> Iterator[Contact]:
    for name, member in owner.members.items():
        if isinstance(member, Function):
            yield Contact(
                "override",
                class_.path,
                Place(owner.module.file, member.line),
                name,
                class_.path,
                guard=guard,
                signature=member.signature,
                results=member.results,
                detail="property" if member.is_property else "method",
            )
        elif isinstance(member, Value):
            detail = "field" if owner.is_dataclass and member.annotation is not None else "value"
            place = Place(owner.module.file, member.line)
            yield Contact("override", class_.path, place, name, class_.path, guard=guard, detail=detail)


def _bypass(class_: Class, own: list[Class], events: dict[str, list[Contact]], guard: Guard) -> Iterator[Contact]:
    """A constructor that does not call the next one: what that would have set is missing."""
    for owner in own:
        init = owner.members.get("__init__")
        if not isinstance(init, Function):
            continue
        supers = [
            event
            for event in events.get(owner.path, ())
            if event.kind == "super" and event.name == "__init__" and event.method == "__init__"
        ]
        plain = [event for event in supers if not event.detail or event.detail == owner.path]
        if not plain:
            given = {e.name for k in own for e in events.get(k.path, ()) if e.kind == "self-write"}
            given |= {name for k in own for name in k.members}
            skipped = next((event.detail for event in supers), "")
            yield Contact(
                "bypass",
                class_.path,
                Place(owner.module.file, init.line),
                "__init__",
                class_.path,
                guard=guard,
                words=tuple(sorted(given)),
                detail=skipped,
            )
            return


def _requirements(files: Files, package: str) -> Iterator[Contact]:
    """The versions that the project says it works with."""
    pattern = re.compile(_REQUIREMENT.format(re.escape(package)))
    for path in files.paths:
        name = path.rpartition("/")[2]
        if name not in _METADATA and not ("require" in path and name.endswith(".txt")):
            continue
        try:
            text = files.text(path)
        except (OSError, ValueError, SyntaxError):
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            code = line.partition("#")[0]
            for match in pattern.finditer(code) if len(line) < 2_000 else ():
                yield Contact("requirement", package, Place(path, number), match[1].strip().rstrip(","))
