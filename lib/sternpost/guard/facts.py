"""The data of the guard: facts, where they come from, and snapshots of them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

KINDS = {
    "module": "a public module; a room when it has a `contract.py`",
    "class": "a public class; `order` is the order of its positional constructor arguments",
    "function": "a public function; `order` is the order of its positional arguments",
    "constant": "a public value that is neither class nor function",
    "alias": "a second public path of an object, or a name re-exported from another package",
    "name": "a public name whose definition cannot be read statically",
    "base": "a base class of a public class",
    "field": "an option of a dataclass, with its resolved default",
    "param": "an argument of a public class, function, method or hook",
    "method": "a public method or property of a public class",
    "attribute": "a public class attribute",
    "hook": "a method that subclasses are invited to override",
    "choice": "a value that a field or an argument accepts",
    "row": "a row format that a room accepts",
    "column": "a column of a row format (`required=yes`) or one that is read when it is there",
    "batch": "a batch layout, or a key of one with its shape",
    "metric": "a metric that is logged under this name",
    "checkpoint": "a file of a saved checkpoint",
    "command": "a command of the command line",
    "flag": "an option of a command",
    "script": "an installed console script",
    "python": "the supported versions of Python",
    "extra": "an optional set of dependencies that can be installed by name",
    "key": "a string under which code of a module reads or writes rows and batches",
    "warning": "what public code warns of, by the beginning of its text, and how (`via` a warning or the log)",
    "error": "what public code refuses, by the beginning of its text, and with what (`via` a class of errors)",
    "filter": "a test or a text by which public code drops rows of a data set",
    "tombstone": "a name that is gone (`since` a version), the `last` version that had it, and what to `use` instead",
    "deprecation": "what the code says will go (`until` a version), and how it says so (`via` a warning or the log)",
    "dependency": "a required package with its version range; of an extra, when the owner is `name[extra]`",
}
"""Every kind of fact, and what it states."""

NAMES = ("module", "class", "function", "constant", "alias", "name")
"""Kinds of facts that state that a dotted path can be imported."""

CONTRACT = "contract"
"""A package with a module of this name is a room."""

STABLE, EXPERIMENTAL, LEGACY = "stable", "experimental", "legacy"

INTERNAL = "internal"
"""The tier of what is private or merely imported: never promised, recorded because downstream code relies on it."""


UNTOLD = "..."
"""The default of an argument that has one, although the signature does not say which."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a file: of source or of a snapshot."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about a package: `kind` says what about, `owner` and `name` about which, `details` say what.

    `details` are sorted pairs. A detail that is missing is not known or does not apply.
    """

    kind: str
    owner: str
    name: str = ""
    details: tuple[tuple[str, str], ...] = ()
    origin: Origin | None = field(default=None, compare=False)

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.kind, self.owner, self.name)

    @property
    def path(self) -> str:
        """What it is about, as a person would write it: `sternpost.SFTConfig.packing`, `sternpost.pack(strategy)`."""
        if not self.name:
            return self.owner
        if self.kind in ("param", "dependency"):
            return f"{self.owner}({self.name})"
        if self.kind in ("command", "flag"):
            return f"{self.owner.replace(':', ' ')} {self.name}"
        return f"{self.owner}{'.' if self.kind in ('field', 'method', 'attribute', 'hook') else ': '}{self.name}"

    def get(self, detail: str) -> str | None:
        for key, value in self.details:
            if key == detail:
                return value
        return None

    def stating(self, **details: str | None) -> "Fact":
        """The same fact with further details; those that are None change nothing."""
        more = {key: value for key, value in details.items() if value is not None}
        return replace(self, details=tuple(sorted((dict(self.details) | more).items())))


def make_fact(kind: str, owner: str, name: str = "", origin: Origin | None = None, /, **details: str | None) -> Fact:
    """A fact with the details that are not None."""
    known = tuple(sorted((key.rstrip("_"), value) for key, value in details.items() if value is not None))
    return Fact(kind, owner, name, known, origin)


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that could not be read or understood; what other files say stays known."""

    origin: Origin
    message: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.message}"


@dataclass(frozen=True)
class Snapshot:
    """All facts of one version of a package. One fact per (kind, owner, name)."""

    facts: tuple[Fact, ...]
    problems: tuple[Problem, ...] = ()
    unreadable: frozenset[str] = frozenset()
    """Modules that could not be read: what is not stated of them may hold all the same."""
    complete: bool = True
    """Whether it states all kinds of details that the guard knows today: what an older one wrote may lack some."""

    @classmethod
    def of(cls, facts: Iterable[Fact], problems: Iterable[Problem] = (), unreadable: Iterable[str] = ()) -> "Snapshot":
        """Order the facts; of facts with the same key the first one counts."""
        unique: dict[tuple[str, str, str], Fact] = {}
        for fact in facts:
            unique.setdefault(fact.key, fact)
        in_order = sorted(
            set(problems), key=lambda problem: (problem.origin.file, problem.origin.line or 0, problem.message)
        )
        return cls(tuple(unique[key] for key in sorted(unique)), tuple(in_order), frozenset(unreadable))

    @cached_property
    def by_key(self) -> dict[tuple[str, str, str], Fact]:
        return {fact.key: fact for fact in self.facts}

    @cached_property
    def _groups(self) -> dict[str, dict[str, tuple[Fact, ...]]]:
        """Kind -> owner -> facts."""
        found: dict[str, dict[str, list[Fact]]] = defaultdict(lambda: defaultdict(list))
        for fact in self.facts:
            found[fact.kind][fact.owner].append(fact)
        return {kind: {owner: tuple(group) for owner, group in owners.items()} for kind, owners in found.items()}

    def owned(self, kind: str, owner: str) -> tuple[Fact, ...]:
        """The facts of one kind about one thing."""
        return self._groups.get(kind, {}).get(owner, ())

    def owners(self, kind: str) -> Iterable[str]:
        """What facts of one kind are about."""
        return self._groups.get(kind, {}).keys()

    def kind(self, kind: str) -> tuple[Fact, ...]:
        return tuple(fact for owner in self.owners(kind) for fact in self.owned(kind, owner))

    def fact(self, kind: str, owner: str, name: str = "") -> Fact | None:
        return next((fact for fact in self.owned(kind, owner) if fact.name == name), None)

    def changed(self, other: "Snapshot") -> set[str]:
        """The owners about which the two say different things."""
        return {fact.owner for fact in set(self.facts) ^ set(other.facts)}

    @cached_property
    def names(self) -> dict[str, Fact]:
        """Every public dotted path -> the fact that states it."""
        return {fact.owner: fact for kind in NAMES for fact in self.kind(kind)}

    @cached_property
    def paths(self) -> dict[str, list[str]]:
        """Home -> every path under which its object can be found."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in self.names:
            found[self.home(path) or path].append(path)
        return found

    def home(self, path: str) -> str | None:
        """The path under which the facts of an object are kept, for any of its public paths."""
        fact = self.names.get(path)
        for _ in range(20):
            if fact is None:
                return None
            target = fact.get("to") if fact.kind == "alias" else None
            if target is None or target not in self.names:
                return fact.owner
            fact = self.names[target]
        return None

    def tier(self, path: str) -> str:
        """The tier of the object, method or module that a path belongs to."""
        owner, _, name = path.rpartition(".")
        method = self.fact("method", owner, name)
        if method is not None and method.get("tier"):
            return method.get("tier") or STABLE
        while path:
            fact = self.names.get(path)
            if fact is not None and fact.get("tier"):
                return fact.get("tier") or STABLE
            path = path.rpartition(".")[0]
        return STABLE


def at(fact: Fact, origin: Origin | None) -> Fact:
    """The same fact with another place."""
    return replace(fact, origin=origin)
