"""Differences between two versions of one signature, be it of a function or of a dataclass."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from .changes import Change
from .facts import UNTOLD, Fact, Origin, Snapshot
from .foreign import inherited_fields
from .renames import arguments_alike, match
from .values import same_value

MAX_BY_POSITION, MAX_FIELDS_BY_POSITION = 8, 4
"""Arguments and fields further back are passed by name: nobody counts that far."""


@dataclass(frozen=True)
class Signature:
    """The arguments of one callable: facts of kind `param` or `field` by name, and the order of the positional ones.

    `*args` and `**kwargs` go by these names whatever the source calls them: no caller can tell.
    """

    callable: Fact
    arguments: dict[str, Fact]
    order: tuple[str, ...]

    @property
    def origin(self) -> Origin | None:
        return self.callable.origin

    @classmethod
    def of(cls, snapshot: Snapshot, owner: str, callable_: Fact) -> "Signature":
        facts = (*snapshot.owned("field", owner), *snapshot.owned("param", owner))
        arguments = {{"args": "*", "kwargs": "**"}.get(fact.get("kind") or "", fact.name): fact for fact in facts}
        order = callable_.get("order")
        names = tuple(order.split(",")) if order else ()
        return cls(callable_, arguments | dict(_unnameable(names, arguments)), names)

    def inheriting(self, snapshot: Snapshot, other: Iterable[str]) -> "Signature":
        """With those options that only the other version states and that bases in other libraries give to this one."""
        missing = set(other) - set(self.arguments)
        found = (
            {f.name: f for f in inherited_fields(snapshot, self.callable.owner) if f.name in missing} if missing else {}
        )
        home = self.callable.owner
        facts = {name: replace(f, owner=home, details=_with_source(f)) for name, f in found.items()}
        return replace(self, arguments=self.arguments | facts)


def compare_signatures(old: Signature, new: Signature, hook: bool) -> Iterator[tuple[Change, str]]:
    """Every difference once, with the name of the new argument (or nothing where there is none)."""
    by_place = _same_places(old, new)
    names = [name for name in old.arguments if name not in by_place]
    kept = {name: _successor(name, old, new) for name in names if name in new.arguments} | by_place
    known = {*names, *kept.values()}
    lost = [fact for name, fact in old.arguments.items() if name not in kept and not _unnamed(fact)]
    fresh = [fact for name, fact in new.arguments.items() if name not in known and not _unnamed(fact)]
    if set(new.arguments) - set(old.arguments) == {"*", "**"} == set(new.arguments):
        return  # it takes anything now: what becomes of it cannot be told
    renamed = match(lost, fresh, arguments_alike(old.order, new.order))
    lost += [fact for name, fact in old.arguments.items() if name in ("*", "**") and name not in new.arguments]
    fresh += [fact for name, fact in new.arguments.items() if name in ("*", "**") and name not in old.arguments]

    for fact in lost:
        counterpart = renamed.get(fact)
        if counterpart is None and fact.get("kind") == "positional-only" and "*" in new.arguments:
            continue  # by position it is still taken
        if counterpart is None and fact.get("default") == UNTOLD and "**" in new.arguments:
            continue  # it went to `**kwargs` and still does; who reads it now, the signature does not tell
        if counterpart is None:
            yield Change("removed", fact.kind, fact, None, near=new.origin, hook=hook), ""
        elif fact.get("kind") != "positional-only":  # nobody can name those
            yield Change("renamed", fact.kind, fact, counterpart, hook=hook), counterpart.name
    for fact in fresh:
        if fact not in renamed.values():
            yield Change("added", fact.kind, None, fact, hook=hook), fact.name
    successors = kept | {fact.name: counterpart.name for fact, counterpart in renamed.items()}
    for name, new_name in successors.items():
        before, after = old.arguments[name], new.arguments[new_name]
        for change in _details(before, after, renamed=name != new_name, hook=hook):
            yield change, new_name
    yield from ((change, "") for change in _moved(old, new, successors, hook))


def _unnameable(order: tuple[str, ...], arguments: dict[str, Fact]) -> Iterator[tuple[str, Fact]]:
    """The arguments in front that PEP 484 makes positional-only by their names: `__x`."""
    for name in order:
        fact = arguments.get(name)
        if fact is None or not (fact.get("kind") == "positional-only" or is_positional_only(name)):
            return
        yield name, fact.stating(kind="positional-only")


def _same_places(old: Signature, new: Signature) -> dict[str, str]:
    """Arguments that nobody can name, each with the one that stands in its place now."""
    nameable = {name for name, fact in old.arguments.items() if fact.get("kind") != "positional-only"}
    pairs = zip(old.order, new.order, strict=False)
    return {
        name: other
        for name, other in pairs
        if name in old.arguments and name not in nameable and other in new.arguments and other not in nameable
    }


def is_positional_only(name: str) -> bool:
    """Whether an argument is for callers by position alone, as one in front was written before `/` was there."""
    return name.startswith("__") and not name.endswith("__")


def _successor(name: str, old: Signature, new: Signature) -> str:
    """The argument that now stands for a known one: another, if the old name has become a deprecated spelling of it."""
    fact = new.arguments[name]
    target = fact.get("to") or ""
    if fact.get("kind") == "deprecated" and old.arguments[name].get("kind") != "deprecated":
        return target if target in new.arguments and target not in old.arguments else name
    return name


def _with_source(fact: Fact) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({**dict(fact.details), "from": fact.owner}.items()))


def _unnamed(fact: Fact) -> bool:
    return fact.get("kind") in ("args", "kwargs")


def _details(old: Fact, new: Fact, renamed: bool, hook: bool) -> Iterator[Change]:
    """Changes of an argument that is still there. A renamed one is reported once: its default only if it differs."""
    if _unnamed(old) or new.get("kind") == "deprecated":
        return
    old, new = _effective(old, new)
    before, after = old.get("default"), new.get("default")
    if before is None or after is None:
        if before != after:
            yield Change("changed", old.kind, old, new, "required", hook=hook)
    elif UNTOLD not in (before, after) and not same_value(before, after):
        yield Change("changed", old.kind, old, new, "default", hook=hook)
    if not renamed and old.get("kind") != new.get("kind"):
        yield Change("changed", old.kind, old, new, "kind", hook=hook)
    if not renamed and old.get("init") != new.get("init"):
        yield Change("changed", old.kind, old, new, "init", hook=hook)


def _effective(old: Fact, new: Fact) -> tuple[Fact, Fact]:
    """Both with the default that counts: the one that `__post_init__` makes of the declared one, if both are known."""
    settled = [fact.get("settled") for fact in (old, new)]
    if "?" in settled:
        return old, new
    return old.stating(default=settled[0]), new.stating(default=settled[1])


def _moved(old: Signature, new: Signature, names: dict[str, str], hook: bool) -> Iterator[Change]:
    """One change if a positional caller now hits another argument, unless that has a cause reported by itself.

    Such causes: an argument in front was removed, or a required one was added in front.
    """
    before = [name for name in old.order if names.get(name) in new.order]
    after = [
        name for name in new.order if name not in new.arguments or _is_known_or_optional(new.arguments[name], names)
    ]
    kept = [names[name] for name in before]
    if not kept:
        return
    moved = [name for name in kept if _shift(name, after, kept) > _removed_before(name, names, old)]
    in_order = [name for name in after if name in set(kept)]
    if in_order != kept:
        moved = [name for name, other in zip(kept, in_order, strict=True) if name != other]
    reach = MAX_BY_POSITION if old.callable.kind != "class" or not _has_fields(old) else MAX_FIELDS_BY_POSITION
    if (
        moved
        and min(old.order.index(name) for name, now in names.items() if now in moved and name in old.order) < reach
    ):
        kind = new.arguments[moved[0]].kind if moved[0] in new.arguments else "param"
        yield Change("moved", kind, old.callable, new.callable, "order", hook=hook, also=tuple(moved))


def _has_fields(signature: Signature) -> bool:
    return any(fact.kind == "field" for fact in signature.arguments.values())


def _is_known_or_optional(fact: Fact, names: dict[str, str]) -> bool:
    return fact.name in names.values() or fact.get("default") is not None


def _shift(name: str, after: list[str], kept: list[str]) -> int:
    """How many arguments that callers did not pass before now stand in front of this one."""
    return sum(other not in kept for other in after[: after.index(name)])


def _removed_before(name: str, names: dict[str, str], old: Signature) -> int:
    source = next(before for before, after in names.items() if after == name)
    return sum(other not in names for other in old.order[: old.order.index(source)])
