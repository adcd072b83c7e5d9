"""A difference between two snapshots, before anyone judges it."""

from dataclasses import dataclass
from typing import Literal

from .facts import STABLE, Fact, Origin

Op = Literal["removed", "renamed", "added", "changed", "moved"]


@dataclass(frozen=True)
class Change:
    """One difference with one cause.

    `kind` is the kind of what changed, `detail` which detail of it. The facts of moved arguments are their callable's.
    `near` is a place in the new tree to look at when the fact itself is gone from it. `hook` tells that the callable is
    one that subclasses override.
    """

    op: Op
    kind: str
    old: Fact | None
    new: Fact | None
    detail: str = ""
    near: Origin | None = None
    hook: bool = False
    tier: str = STABLE
    also: tuple[str, ...] = ()
    """Other paths or names that the same cause takes with it."""
    due: str | None = None
    """The version for which this removal was announced, once it has come."""

    @property
    def fact(self) -> Fact:
        """The old fact, or the new one of an addition."""
        fact = self.old or self.new
        assert fact is not None  # a change has at least one side
        return fact

    @property
    def before(self) -> str | None:
        return self.old.get(self.detail) if self.old else None

    @property
    def after(self) -> str | None:
        return self.new.get(self.detail) if self.new else None
