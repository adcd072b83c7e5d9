"""What an expression of a project can mean, as far as that matters for what it does with a package."""

import ast
from dataclasses import dataclass, field

MAX_STEPS = 8
"""Attributes of attributes, calls of what is returned, and so on that are followed."""
CALL, AWAIT, ENTER, ITEM = "()", "await", "with", "[]"
"""Steps that are no attributes: what is called, awaited, entered by `with`, looped over or looked up."""


@dataclass(frozen=True)
class Ref:
    """The thing at a dotted path, of the project or of a package."""

    path: str


@dataclass(frozen=True)
class Inst:
    """An instance of the class at a path."""

    path: str


@dataclass(frozen=True)
class Items:
    """A container of instances of the class at a path; `keyed`: a dictionary whose values they are."""

    path: str
    keyed: bool = False


@dataclass(frozen=True)
class Text:
    """A string."""

    value: str


@dataclass
class Keys:
    """A dictionary: its constant keys with the places that set them; `open` if it may hold others."""

    keys: dict[str, ast.AST] = field(default_factory=dict)
    open: bool = False


@dataclass(frozen=True)
class SelfOf:
    """`self` or `cls` in a method of the class at a path."""

    path: str


@dataclass(frozen=True)
class Held:
    """What some steps lead to: from `self`, from an instance of the class at a path, or from what stands at a path.

    `start` is `self`, `instance` or `path`. Only the package can say what that is.
    """

    path: str
    steps: tuple[str, ...]
    start: str

    def then(self, step: str) -> "Held | None":
        return Held(self.path, (*self.steps, step), self.start) if len(self.steps) < MAX_STEPS else None


@dataclass(frozen=True)
class Unknown:
    """A local name of which nothing is known: it hides what the module calls so."""


Meaning = Ref | Inst | Items | Text | Keys | SelfOf | Held | Unknown
UNKNOWN = Unknown()
