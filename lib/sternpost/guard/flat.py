"""Differences of facts that stand by themselves, and which differences follow from others."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from .changes import Change
from .facts import Fact, Origin, Snapshot
from .renames import match, names_alike
from .values import same_value

FLAT = (
    *("row", "column", "batch", "metric", "key", "checkpoint", "warning", "deprecation", "error", "filter"),
    *("command", "flag", "script", "python", "extra", "dependency"),
)
"""Kinds of facts that stand by themselves: they belong to a room, a command or the distribution."""

_OF_OBJECTS = ("metric", "warning", "deprecation", "error", "filter")
_PROJECT = ("script", "python", "extra", "dependency")

Causes = set[tuple[str, tuple[str, str, str]]]
"""What happened to which fact, by its key."""


def flat_changes(old: Snapshot, new: Snapshot, touched: set[str]) -> Iterator[Change]:
    """Lost, new and changed promises of rooms, commands and the distribution, where facts of their owners differ."""
    for kind in FLAT:
        for owner in sorted({*old.owners(kind), *new.owners(kind)} & touched):
            if kind in _OF_OBJECTS and owner in old.names:
                if owner not in new.names:
                    continue  # it went with its class
                before, after = old.owned(kind, owner), new.owned(kind, new.home(owner) or owner)
            elif kind in _OF_OBJECTS and owner in new.names:
                continue  # it came with its class
            else:
                before, after = old.owned(kind, owner), new.owned(kind, owner)
            if kind == "column":
                before = _no_longer_read(before, after)
            module = new.names[owner].origin if owner in new.names and kind not in _PROJECT else None
            found = keyed(before, after, after[0].origin if after else module)
            if kind == "dependency":
                yield from (_optional(change, new) for change in found)
            elif kind in ("key", "metric"):
                yield from _together(found, [fact.name for fact in after if "*" in fact.name])
            else:
                yield from found


def _optional(change: Change, new: Snapshot) -> Change:
    """A lost dependency, with what is left of it in an extra."""
    if change.op not in ("removed", "renamed"):
        return change
    extras = (fact for fact in new.kind("dependency") if fact.owner.startswith(f"{change.fact.owner}["))
    return replace(change, op="removed", new=next((fact for fact in extras if fact.name == change.fact.name), None))


def _together(changes: Iterable[Change], patterns: list[str]) -> Iterator[Change]:
    """Keys that only the code shows: those that one owner lost are one change.

    `patterns` are keys of the new side with parts that are put in: what fits one of them may still be there.
    """
    lost: list[Change] = []
    for change in changes:
        seen = change.fact.kind == "key" or change.fact.get("seen")
        if seen and change.op in ("removed", "renamed"):
            if not any(fnmatchcase(change.fact.name, pattern) for pattern in patterns):
                lost.append(change)
        else:
            yield change
    if lost:
        first, *others = sorted(lost, key=lambda change: change.fact.name)
        yield replace(first, op="removed", new=None, also=tuple(other.fact.name for other in others))


def _no_longer_read(before: tuple[Fact, ...], after: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Without the columns that other rows of the room still have, or that only became optional or required."""
    known = {fact.name for fact in after}
    read = {fact.name.rpartition(".")[2] for fact in after}
    return tuple(fact for fact in before if fact.name in known or fact.name.rpartition(".")[2] not in read)


def keyed(old: Iterable[Fact], new: Iterable[Fact], near: Origin | None) -> Iterator[Change]:
    """Lost, new and changed among facts of one kind and owner; what was renamed is told once."""
    before, after = {fact.name: fact for fact in old}, {fact.name: fact for fact in new}
    lost = [fact for name, fact in before.items() if name not in after]
    fresh = [fact for name, fact in after.items() if name not in before]
    renamed = match(lost, fresh, names_alike)
    for fact in lost:
        if fact in renamed:
            yield Change("renamed", fact.kind, fact, renamed[fact], near=near)
        else:
            yield Change("removed", fact.kind, fact, None, near=near)
    yield from (Change("added", fact.kind, None, fact) for fact in fresh if fact not in renamed.values())
    for name in before.keys() & after.keys():
        one, other = before[name], after[name]
        for detail in sorted({key for key, _ in (*one.details, *other.details)}):
            before_, after_ = one.get(detail), other.get(detail)
            if not (same_value(before_, after_) if detail == "value" else before_ == after_):
                yield Change("changed", one.kind, one, other, detail)


def follows(change: Change, causes: Causes) -> bool:
    """Whether another change is the cause of this one: a part of what is lost is lost, a part of what is new is new."""
    if change.op == "changed":
        return change.detail == "tier" and any(_tier_changed(module, causes) for module in _modules(change.fact.owner))
    ops = ("removed", "renamed") if change.old is not None else ("added", "renamed")
    return any((op, whole) in causes for op in ops for whole in _wholes(change.fact))


def _modules(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _tier_changed(module: str, causes: Causes) -> bool:
    return ("tier", ("module", module, "")) in causes


def _wholes(fact: Fact) -> list[tuple[str, str, str]]:
    """Keys of the facts that this one is a part of."""
    if fact.kind == "flag":  # it comes and goes with its command, and with the field that it sets
        script, _, command = fact.owner.partition(":")
        class_, _, field = (fact.get("field") or "").rpartition(".")
        return [("command", script, command), ("field", class_, field), ("class", class_, "")]
    if fact.kind == "dependency" and fact.owner.endswith("]"):
        name, _, extra = fact.owner[:-1].partition("[")
        return [("extra", name, extra)]
    wholes = [("module", fact.owner, "")] if fact.kind in FLAT else []
    if fact.kind in ("column", "batch") and "." in fact.name:
        wholes.append(("row" if fact.kind == "column" else "batch", fact.owner, fact.name.partition(".")[0]))
    return wholes
