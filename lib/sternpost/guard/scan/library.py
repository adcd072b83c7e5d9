"""One version of the package, as its users meet it: what exists, what can be called how, what is inherited."""

import ast
import re
from collections.abc import Iterator
from functools import cache, cached_property

from ..facts import UNTOLD, Origin
from ..foreign import ancestors, foreign_base, known_bases
from .behaviour import Refusal
from .code import Class, Function, Module, SelfUse, Value, widest
from .codebase import Codebase, Entity, External
from .constructors import field_arguments, hands_on
from .files import Files
from .signature import Argument, Signature
from .standard import standard_members

_STRING = re.compile(r"""["']([A-Za-z_][\w]*(?:/[\w@.]+)*)["']""")
_KEY = re.compile(
    r"""(?:\[|\.get\(|\.pop\(|\bin )\s*f?["']([A-Za-z_]\w*(?:/[\w@.]+)*)["']"""
    r"""|["']([A-Za-z_]\w*(?:/[\w@.]+)*)["'](?::| in |\s*\])"""
)
_DEFINED = re.compile(r"^[ \t]*(?:class|def|async def)\s+(\w+)", re.M)
MAX_CALL = 4_000
"""Characters of one call that are read."""
_METRIC = re.compile(r"""(?:metrics|stats|logs)(?:\[\w+\])?\[f?["']([A-Za-z_][\w/@.]*)["']\]""")
_CALLED = re.compile(r"\b[A-Za-z_]\w*+(?=\()")
_BARE = ("ABC", "Generic", "Protocol", "object")
"""Bases that bring no members worth naming."""
_DUNDER = re.compile(r"__\w+__")


@cache
def foreign_names(path: str) -> frozenset[str]:
    """Members and options of a class of another library, as far as they are pinned."""
    names: set[str] = set()
    home = foreign_base(path)
    for owner in [home, *ancestors(known_bases(), home)] if home is not None else ():
        for kind in ("field", "method", "attribute", "hook"):
            names |= {fact.name for fact in known_bases().owned(kind, owner)}
    return frozenset(names)


def _is_known(base: str) -> bool:
    """Whether the members of a base outside the package are known."""
    return foreign_base(base) is not None or base.rpartition(".")[2] in _BARE or standard_members(base) is not None


class Library:
    """A version of the package."""

    def __init__(self, files: Files, package: str, version: str | None, shown: str) -> None:
        self.files = files
        self.package = package
        self.version = version
        self.shown = shown
        self.codebase = Codebase(files, only=package)
        self._members: dict[str, dict[str, Function | Value | SelfUse]] = {}
        self._signatures: dict[str, Signature | None] = {}
        self._fields: dict[str, dict[str, Value]] = {}
        self.refusals: dict[str, list[Refusal]] = {}
        """What functions refuse, by their paths, as far as that was asked."""

    # ---- Names

    def find(self, path: str) -> tuple[Entity, ...]:
        """What a dotted path leads to; nothing if it is not there."""
        return self.codebase.find(path)

    def has(self, path: str) -> bool:
        """Whether a path leads anywhere, or may do so: a base in another library may have what its class lacks."""
        found = self.find(path)
        owner, _, name = path.rpartition(".")
        if not found and _DUNDER.fullmatch(name):
            return self.has(owner)
        if found and all(isinstance(entity, External) for entity in found) and owner:
            class_ = self.class_at(owner)
            return class_ is None or name in self.members(class_) or self.may_inherit(class_, name)
        return bool(found)

    def has_unknown_base(self, class_: Class) -> bool:
        """Whether a base is in another library, and not pinned."""
        outside = [base.path for base in self.chain(class_) if isinstance(base, External)]
        return any(not _is_known(base) for base in outside)

    def may_inherit(self, class_: Class, name: str) -> bool:
        """Whether a base in another library provides a member, or is not known well enough to say no."""
        outside = [base.path for base in self.chain(class_) if isinstance(base, External)]
        unknown = any(not _is_known(base) for base in outside)
        known = name in self.foreign_names(class_) or any(name in (standard_members(base) or ()) for base in outside)
        return bool(outside) and (unknown or bool(_DUNDER.fullmatch(name)) or known)

    def one(self, path: str) -> Entity | None:
        """The definition behind a path, or what it leads to outside; of functions in branches the widest."""
        found = self.find(path)
        inside = [entity for entity in found if not isinstance(entity, External)]
        if len(inside) > 1 and all(isinstance(entity, Function) for entity in inside):
            return widest([entity for entity in inside if isinstance(entity, Function)])
        return inside[0] if inside else found[0] if found else None

    def class_at(self, path: str) -> Class | None:
        found = self.one(path)
        return found if isinstance(found, Class) else None

    def origin(self, entity: Entity | SelfUse | None, owner: Class | None = None) -> Origin | None:
        """Where something is defined."""
        if isinstance(entity, Module):
            return Origin(entity.file, 1)
        if isinstance(entity, Class | Function | Value):
            return Origin(entity.module.file, entity.line)
        if isinstance(entity, SelfUse) and owner is not None:
            return Origin(owner.module.file, entity.node.lineno)
        return None

    def names_in(self, path: str) -> set[str]:
        """What `dir()` of a module or class shows."""
        found = self.one(path)
        if isinstance(found, Module):
            below = {m.removeprefix(f"{path}.") for m in self.codebase.where if m.startswith(f"{path}.")}
            return {*found.bindings, *found.lazy, *(name for name in below if "." not in name)} - {"*"}
        return set(self.members(found)) if isinstance(found, Class) else set()

    @cached_property
    def defined(self) -> dict[str, list[str]]:
        """Name of every class and function at the top of a module -> the modules that define it."""
        pattern = re.compile(r"^(?:class|def|async def)\s+(\w+)", re.M)
        found: dict[str, list[str]] = {}
        for module, file in self.codebase.where.items():
            for name in pattern.findall(self.texts.get(file, "")):
                found.setdefault(name, []).append(module)
        return found

    # ---- Classes

    def chain(self, class_: Class) -> list[Class | External]:
        return self.codebase.chain(class_)

    def members(self, class_: Class) -> dict[str, Function | Value | SelfUse]:
        """Every attribute that the package's part of a class gives to its subclasses."""
        if class_.path not in self._members:
            found: dict[str, Function | Value | SelfUse] = {}
            for owner in self.chain(class_):
                if isinstance(owner, Class):
                    for name, member in owner.members.items():
                        if isinstance(member, Function | Value):
                            found.setdefault(name, member)
            for owner in self.chain(class_):
                if isinstance(owner, Class):
                    for use in owner.uses.writes:
                        found.setdefault(use.name, use)
            self._members[class_.path] = found
        return self._members[class_.path]

    def owner_of(self, class_: Class, name: str) -> Class | None:
        for owner in self.chain(class_):
            if isinstance(owner, Class) and (name in owner.members or any(u.name == name for u in owner.uses.writes)):
                return owner
        return None

    def fields(self, class_: Class) -> dict[str, Value]:
        """The options of a dataclass, those of its bases in the package included."""
        if class_.path not in self._fields:
            found: dict[str, Value] = {}
            for owner in reversed(self.chain(class_)):
                if isinstance(owner, Class):
                    found |= {value.name: value for value in owner.fields()}
            self._fields[class_.path] = found
        return self._fields[class_.path]

    def constructor(self, class_: Class) -> Signature | None:
        """What the class is called with; None where a base outside the package decides."""
        if class_.path not in self._signatures:
            self._signatures[class_.path] = self._constructor(class_)
        return self._signatures[class_.path]

    def _constructor(self, class_: Class, after: int = 0) -> Signature | None:
        """That of the class, or of those that stand `after` the first ones in its chain."""
        for place, owner in enumerate(self.chain(class_)[after:], start=after):
            if isinstance(owner, External):
                if owner.path.rpartition(".")[2] in _BARE or "Mixin" in owner.path:
                    continue
                return None
            init = owner.members.get("__init__") or owner.members.get("__new__")
            if isinstance(init, Function):
                if init.signature.is_open:
                    continue
                behind = self._constructor(class_, place + 1) if hands_on(init) else None
                return init.signature if behind is None else init.signature.handing_on(behind)
            if owner.is_dataclass:
                return self._of_fields(owner)
        return Signature()

    def _of_fields(self, class_: Class) -> Signature:
        """What the constructor of a dataclass takes, the options of bases in other libraries included."""
        arguments = field_arguments(self.chain(class_))
        known = {argument.name for argument in arguments}
        foreign = tuple(Argument(name, UNTOLD, False) for name in sorted(self.foreign_names(class_) - known))
        return Signature((*arguments, *foreign), named=self.has_unknown_base(class_))

    def foreign_names(self, class_: Class) -> frozenset[str]:
        """What the pinned facts say that bases outside the package provide."""
        return frozenset().union(*(foreign_names(o.path) for o in self.chain(class_) if isinstance(o, External)))

    # ---- Text

    @cached_property
    def texts(self) -> dict[str, str]:
        """The source of every module, by file."""
        found: dict[str, str] = {}
        for file in self.codebase.where.values():
            try:
                found[file] = self.files.text(file)
            except (OSError, ValueError, SyntaxError):
                continue
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """The name of every class, function and method that is defined anywhere."""
        return frozenset(name for text in self.texts.values() for name in _DEFINED.findall(text))

    def uses_word(self, word: str) -> bool:
        """Whether a name stands anywhere in the source."""
        pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
        return any(word in text and pattern.search(text) for text in self.texts.values())

    @cached_property
    def keys(self) -> dict[str, dict[str, int]]:
        """Strings that the source uses as keys, metrics or columns: files with the place of the first."""
        found: dict[str, dict[str, int]] = {}
        for file, text in self.texts.items():
            for match in _KEY.finditer(text):
                found.setdefault(match[1] or match[2], {}).setdefault(file, match.start())
        return found

    def key_origin(self, key: str) -> Origin | None:
        for file, place in self.keys.get(key, {}).items():
            return Origin(file, self.texts[file].count("\n", 0, place) + 1)
        return None

    def metrics_below(self, path: str) -> frozenset[str]:
        """Names under which the modules at and below a path log values."""
        files = {f for m, f in self.codebase.where.items() if m == path or m.startswith(f"{path}.")}
        return frozenset(name for file in files for name in _METRIC.findall(self.texts.get(file, "")))

    @cached_property
    def strings(self) -> frozenset[str]:
        return frozenset(s for text in self.texts.values() for s in _STRING.findall(text))

    def holding(self, pieces: tuple[str, ...]) -> frozenset[str]:
        """The files whose source has all the pieces."""
        return frozenset(f for f, text in self.texts.items() if all(piece in text for piece in pieces))

    def calls_of(self, name: str) -> Iterator[ast.Call]:
        """Every call in the package of something called `name`, read without parsing whole modules."""
        for file, start in self._called.get(name, ()):
            text = self.texts[file]
            if not text.endswith(("def ", "class "), max(start - 6, 0), start):
                call = _call_at(text, start)
                if call is not None:
                    yield call

    @cached_property
    def _called(self) -> dict[str, list[tuple[str, int]]]:
        """Where each name stands in front of a parenthesis: file and place."""
        found: dict[str, list[tuple[str, int]]] = {}
        for file, text in self.texts.items():
            for match in _CALLED.finditer(text):
                found.setdefault(match[0], []).append((file, match.start()))
        return found


def _call_at(text: str, start: int) -> ast.Call | None:
    """The call that begins at a place in a text."""
    end = text.find(")", start)
    for _ in range(30):
        if end < 0 or end - start > MAX_CALL:
            return None
        piece = text[start : end + 1]
        if piece.count("(") <= piece.count(")"):
            try:
                node = ast.parse(piece, mode="eval").body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                pass
            else:
                return node if isinstance(node, ast.Call) else None
        end = text.find(")", end + 1)
    return None
