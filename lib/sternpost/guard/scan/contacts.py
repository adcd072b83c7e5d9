"""A contact: one place where a project relies on a package, and under which conditions it does."""

from dataclasses import dataclass, field

from .signature import Shape, Signature

KINDS = {
    "import": "a name or module is imported",
    "attribute": "an attribute of a module, class or instance of the package is read",
    "call": "a function, class or method of the package is called",
    "option": "an option of the package is passed through a dictionary, or by a callable that cannot be followed",
    "subclass": "a class derives from one of the package",
    "override": "a method replaces one of a base class in the package",
    "super": "a method of a base class is called through `super()`",
    "self-read": "an attribute that a base class provides is read or called on `self`",
    "self-write": "an attribute that a base class uses is set on `self`",
    "argument-read": "an option is read from `self.args`, or from a configuration",
    "held": "a member is used of what an attribute of `self` or of an instance holds",
    "member": "a member of an Enum is looked up by its name or value",
    "bypass": "a subclass replaces `__init__` without calling that of its base",
    "patch": "something of the package is replaced at run time",
    "reflection": "signature, source, fields or names of the package are inspected",
    "string-path": "a dotted path into the package stands in a string",
    "string-name": "a metric, column, key or member of the package is named in a string",
    "anchor": "a piece of the package's source text is searched for",
    "requirement": "the project declares the versions of the package that it works with",
}
"""Every kind of contact, and what it is."""


@dataclass(frozen=True)
class Place:
    """Where in the project."""

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Guard:
    """Under which conditions a contact is reached.

    `gates` are comparisons of the package's version that hold there. `present` are names that were looked for first
    (`hasattr`). `caught` are exceptions that the project handles, `instead` what it imports then, and `failed` the
    imports that must have failed for this one to be tried. `tests` are other questions to the package, as `evaluate`
    reads them, and whether each holds there.
    """

    gates: tuple[tuple[str, str], ...] = ()
    present: frozenset[str] = frozenset()
    caught: frozenset[str] = frozenset()
    instead: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    tests: tuple[tuple[str, bool], ...] = ()


FREE = Guard()


@dataclass(frozen=True)
class Contact:
    """One contact. `path` is what is touched (a dotted path), `name` what of it (a member, argument or key).

    `class_` is the project's class that a contact of a subclass belongs to, by its path.
    """

    kind: str
    path: str
    place: Place
    name: str = ""
    class_: str = ""
    method: str = ""
    guard: Guard = FREE
    shape: Shape | None = None
    signature: Signature | None = None
    unpacked: int | None = None
    results: frozenset[str] = field(default=frozenset(), compare=False)
    """The shapes of what the project's function returns that takes the place of one of the package."""
    words: tuple[str, ...] = field(default=(), compare=False)
    """More names: options that are passed, imported names, parts of an anchor."""
    detail: str = ""
    used: str = ""
    """What is done with what is read or returned: `await`, `with`, `for`, `item`, `value`, `statement`; `type` where
    only type checkers look."""
    lines: tuple[tuple[str, int], ...] = field(default=(), compare=False)
    """Where each keyword of a call stands."""
