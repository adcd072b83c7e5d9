"""The project between two versions of the package: what its classes inherit on each side."""

import re
from collections.abc import Iterable
from functools import cached_property

from ..foreign import known_bases
from ..renames import name_likeness
from ..values import same_value
from .behaviour import settled
from .code import Class, Function, Module, SelfUse, Value
from .codebase import External, merge
from .collect import Collection
from .contacts import Guard
from .evaluate import Evaluation
from .guards import reached
from .library import Library
from .signature import default_text

Member = Function | Value | SelfUse


class Sides:
    """The collection, the old version and the new one."""

    def __init__(self, collection: Collection, old: Library, new: Library) -> None:
        self.collection = collection
        self.package = collection.package
        self.old = old
        self.new = new
        self._inherited: dict[tuple[str, bool], list[Class]] = {}
        self._members: dict[tuple[str, bool], dict[str, Member]] = {}
        self._declared: dict[str, bool] = {}

    @cached_property
    def classes(self) -> dict[str, Class]:
        return {class_.path: class_ for class_ in self.collection.classes}

    def bases(self, path: str, library: Library) -> list[Class]:
        """The package's classes above a class of the project, in their order."""
        key = (path, library is self.old)
        if key not in self._inherited:
            class_ = self.classes.get(path)
            chains = []
            for base in self.collection.codebase.chain(class_) if class_ is not None else ():
                if isinstance(base, External) and base.path.startswith(f"{self.package}."):
                    found = library.class_at(base.path)
                    chains += [library.chain(found)] if found is not None else []
            self._inherited[key] = [owner for owner in merge(chains) if isinstance(owner, Class)]
        return self._inherited[key]

    def foreign_bases(self, path: str, library: Library) -> set[str]:
        """Bases outside both the project and the package."""
        class_ = self.classes.get(path)
        found: set[str] = set()
        for base in self.collection.codebase.chain(class_) if class_ is not None else ():
            if isinstance(base, External) and not base.path.startswith(f"{self.package}."):
                found.add(base.path)
        for owner in self.bases(path, library):
            found |= {b.path for b in library.chain(owner) if isinstance(b, External)}
        return found

    def has_all_bases(self, path: str, library: Library) -> bool:
        """Whether every base in the package is still there: otherwise that is the one thing to say."""
        class_ = self.classes.get(path)
        chain = self.collection.codebase.chain(class_) if class_ is not None else []
        wanted = [b.path for b in chain if isinstance(b, External) and b.path.startswith(f"{self.package}.")]
        return bool(wanted) and all(library.class_at(base) is not None for base in wanted)

    def inherited(self, path: str, library: Library) -> dict[str, Member]:
        """Everything that the package gives to a class of the project."""
        key = (path, library is self.old)
        if key not in self._members:
            found: dict[str, Member] = {}
            for owner in self.bases(path, library):
                for name, member in owner.members.items():
                    if isinstance(member, Function | Value):
                        found.setdefault(name, member)
            for owner in self.bases(path, library):
                for use in owner.uses.writes:
                    found.setdefault(use.name, use)
            self._members[key] = found
        return self._members[key]

    @cached_property
    def own(self) -> dict[str, set[str]]:
        """What the project itself defines or sets on each of its classes."""
        found: dict[str, set[str]] = {}
        for path, class_ in self.classes.items():
            chain = [k for k in self.collection.codebase.chain(class_) if isinstance(k, Class)]
            found[path] = {name for k in chain for name in k.members}
        for contact in self.collection.contacts:
            if contact.kind == "self-write":
                found.setdefault(contact.path, set()).add(contact.name)
        return found

    def reached_before(self, guard: Guard) -> bool:
        """Whether a place is reached with the old version, as far as that can be told."""
        asked = Evaluation(self.old.version, self.old.has, lambda path, name: None)
        return reached(guard, self.old.version) and all(asked.holds(t) in (None, holds) for t, holds in guard.tests)

    @cached_property
    def passing(self) -> frozenset[str]:
        """The project's classes whose constructor hands keywords on to that of the base."""
        supers = (c for c in self.collection.contacts if c.kind == "super" and c.name == c.method == "__init__")
        return frozenset(c.class_ for c in supers if c.shape is not None and c.shape.double)

    @cached_property
    def own_fields(self) -> frozenset[str]:
        """Options that the project adds in its own subclasses of the package's dataclasses."""
        chains = (self.collection.codebase.chain(class_) for class_ in self.collection.classes)
        return frozenset(v.name for chain in chains for k in chain if isinstance(k, Class) for v in k.fields())

    @cached_property
    def any_fields(self) -> frozenset[str]:
        """Options of every dataclass of the project, whatever it derives from."""
        return self.own_fields | _fields_of(self.collection.codebase.parsed())

    def declares(self, name: str) -> bool:
        """Whether any dataclass of the project has an option of this name, also in files that were not followed."""
        if name not in self._declared:
            codebase = self.collection.codebase
            line = re.compile(rb"^[ \t]+" + re.escape(name.encode()) + rb"[ \t]*:", re.M)
            others = (f for f, data in self.collection.contents.items() if line.search(data))
            modules = (codebase.glance(codebase.modules_in[f]) for f in others if f in codebase.modules_in)
            self._declared[name] = name in self.any_fields or name in _fields_of(m for m in modules if m is not None)
        return self._declared[name]

    @cached_property
    def pinned(self) -> frozenset[str]:
        """Names of options and members that pinned libraries have: strings that say them mean many things."""
        return frozenset(fact.name for kind in ("field", "method", "attribute") for fact in known_bases().kind(kind))

    @cached_property
    def configs(self) -> list[tuple[Class, Class | None]]:
        """The dataclasses of the old version that the project touches, each with what it is in the new one."""
        paths = {
            contact.path
            for contact in self.collection.contacts
            if contact.kind in ("import", "attribute", "subclass", "call") and not contact.name
        }
        found: dict[str, tuple[Class, Class | None]] = {}
        for path in sorted(paths):
            class_ = self.old.class_at(path) if path.startswith(f"{self.package}.") else None
            if class_ is not None and class_.is_dataclass:
                found.setdefault(class_.path, (class_, self.new.class_at(path)))
        if any(c.kind == "string-path" and c.detail == "pattern" for c in self.collection.contacts):
            found |= {old.path: (old, new) for old, new in self._all_configs if old.path not in found}
        return list(found.values()) or self._all_configs

    @cached_property
    def _all_configs(self) -> list[tuple[Class, Class | None]]:
        """Every configuration of the package: for projects that only make up their names."""
        found = []
        for name, modules in sorted(self.old.defined.items()):
            for module in modules if name.endswith(("Config", "Arguments")) else ():
                class_ = self.old.class_at(f"{module}.{name}")
                if class_ is not None and class_.is_dataclass:
                    found.append((class_, self.new.class_at(f"{module}.{name}")))
        return found

    @cached_property
    def option_changes(self) -> dict[str, list[tuple[str, str]]]:
        """Option -> the configurations in which it is gone, or has another default, and what happened."""
        found: dict[str, list[tuple[str, str]]] = {}
        for old, new in self.configs:
            if new is None:
                continue
            before, after = self.old.fields(old), self.new.fields(new)
            for name, value in before.items():
                other = after.get(name)
                if other is None and name not in self.new.foreign_names(new):
                    found.setdefault(name, []).append((old.name, "gone"))
                elif other is not None and value.node is not None and other.node is not None:
                    was, now = default_text(value.node), default_text(other.node)
                    if not same_value(was, now):
                        found.setdefault(name, []).append((old.name, f"{was} -> {now}"))
            for name, values in self.newly_settled(old, new).items():
                found.setdefault(name, []).append((old.name, f"it sets this itself now: {' or '.join(sorted(values))}"))
        return found

    def newly_settled(self, old: Class, new: Class) -> dict[str, set[str]]:
        """Option of both versions, declared alike -> expressions that only the new `__post_init__` sets it to."""
        before, after = settled(self.old.chain(old)), settled(self.new.chain(new))
        fresh = {name: values - before.get(name, set()) for name, values in sorted(after.items())}
        return {name: values for name, values in fresh.items() if values and self._stayed(old, new, name)}

    def _stayed(self, old: Class, new: Class, name: str) -> bool:
        """Whether both versions have an option, with the same default where that is declared here."""
        before, after = self.old.fields(old).get(name), self.new.fields(new).get(name)
        if before is None or after is None:
            kept = before is not None or name in self.old.foreign_names(old)
            return kept and (after is not None or name in self.new.foreign_names(new))
        if before.node is None or after.node is None:
            return before.node is after.node
        return same_value(default_text(before.node), default_text(after.node))

    @cached_property
    def touched_classes(self) -> frozenset[str]:
        """Classes of the package that the project names in any way."""
        kinds = ("import", "attribute", "subclass", "call", "string-path")
        paths = {contact.path for contact in self.collection.contacts if contact.kind in kinds}
        found = (self.old.class_at(path) for path in paths if path.startswith(f"{self.package}."))
        return frozenset(class_.path for class_ in found if class_ is not None)

    @cached_property
    def touched_files(self) -> frozenset[str]:
        """Modules of the old version that define what the project imports, derives from or calls."""
        found: set[str] = set()
        for path in {c.path for c in self.collection.contacts if c.kind in ("import", "attribute", "subclass", "call")}:
            entity = self.old.one(path) if path.startswith(f"{self.package}.") else None
            for owner in self.old.chain(entity) if isinstance(entity, Class) else [entity]:
                if isinstance(owner, Class | Function | Value):
                    found.add(owner.module.file)
        return frozenset(found)

    # ---- What to do instead

    def moved_to(self, path: str) -> str | None:
        """Another path of the new version under which something of this name can be imported."""
        name = path.rpartition(".")[2]
        best: list[tuple[int, str]] = []
        for module in self.new.defined.get(name, ()):
            parts = module.split(".")
            for count in range(1, len(parts) + 1):
                candidate = f"{'.'.join(parts[:count])}.{name}"
                if any(not isinstance(e, External) for e in self.new.find(candidate)):
                    best.append((count, candidate))
                    break
        return min(best)[1] if best else None

    def instead(self, path: str) -> str:
        """A sentence on what replaces a lost name; empty if nothing does."""
        if moved := self.moved_to(path):
            return f"Use `{moved}`."
        owner, _, name = path.rpartition(".")
        if self.new.has(owner):
            fresh = {n for n in self.new.names_in(owner) if n not in self.old.names_in(owner)}
            if alike := most_alike(name, fresh):
                return f"`{owner}.{alike}` is probably the same thing."
        return ""


def _fields_of(modules: Iterable[Module]) -> frozenset[str]:
    """The options of every dataclass at the top of some modules."""
    classes = (d for module in modules for ds in module.bindings.values() for d in ds if isinstance(d, Class))
    return frozenset(value.name for class_ in classes if class_.is_dataclass for value in class_.fields())


def most_alike(name: str, others: set[str]) -> str | None:
    """The new name that is closest to a lost one, if any is close."""
    scored = sorted(((name_likeness(name, other), other) for other in others), reverse=True)
    return scored[0][1] if scored and scored[0][0] >= 0.66 else None
