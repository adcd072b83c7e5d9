"""Two snapshots -> their differences, each with one cause: what follows from a lost class is not told again."""

import gc
import re
from dataclasses import replace

from packaging.version import InvalidVersion, Version

from .changes import Change
from .facts import CONTRACT, INTERNAL, NAMES, Fact, Snapshot
from .flat import FLAT, Causes, flat_changes, follows
from .foreign import ancestors
from .objects import ObjectDiff, inside
from .values import same_value


def compare(old: Snapshot, new: Snapshot, version: str | None = None) -> list[Change]:
    """All differences, in a stable order. What was to go by `version`, that of the new side, is marked as due."""
    collecting = gc.isenabled()
    gc.disable()  # facts are many objects and no cycles
    try:
        return _compare(old, new, version)
    finally:
        if collecting:
            gc.enable()


def _compare(old: Snapshot, new: Snapshot, version: str | None) -> list[Change]:
    changed = old.changed(new)
    objects = ObjectDiff(old, new, changed)
    changes = [*objects.changes(), *flat_changes(old, new, changed)]
    causes: Causes = {(c.detail or c.op, fact.key) for c in changes for fact in (c.old, c.new) if fact is not None}
    changes = [c for c in changes if not follows(c, causes) and not _unknown(c.fact, new.unreadable)]
    changes = [c for c in changes if not _is_sentinel(c, new)]
    tiered = [replace(change, tier=_tier(change, old, new), due=_due(change, old, version)) for change in changes]
    return sorted(tiered, key=lambda change: (change.fact.key, change.op, change.detail))


def _unknown(fact: Fact, unreadable: frozenset[str]) -> bool:
    """Whether a fact of the old side would stand in a file of the new side that could not be read."""
    if not unreadable:
        return False
    if fact.kind in ("command", "flag"):
        return True  # which file makes the commands, only the extraction knows
    room = fact.kind in FLAT and f"{fact.owner}.{CONTRACT}" in unreadable
    return room or fact.owner in unreadable or inside(fact.owner, unreadable)


def _tier(change: Change, old: Snapshot, new: Snapshot) -> str:
    snapshot = old if change.old is not None else new
    if change.kind not in NAMES and (own := change.fact.get("tier")):
        return own
    if change.kind == "name" and change.op == "removed":
        return INTERNAL  # whether it was ever there, nobody can read
    if change.kind == "key" or (change.kind in ("choice", "command", "flag", "param") and change.fact.get("seen")):
        return INTERNAL
    return snapshot.tier(change.fact.get("field") or change.fact.owner)


def _is_sentinel(change: Change, new: Snapshot) -> bool:
    """Whether a default became None only to tell whether the argument was given.

    Because it is deprecated, or because the default now stands in a configuration that the same callable takes.
    """
    if change.detail != "default" or change.after != "None" or change.new is None:
        return False
    owner, name = change.new.owner, change.new.name
    owners = (owner, *ancestors(new, owner))
    if any(new.fact("deprecation", one, name) for one in owners):
        return True
    types = {word for fact in new.owned("param", owner) for word in re.findall(r"\w+", fact.get("type") or "")}
    for path in new.names:
        if path.rpartition(".")[2] in types and (option := new.fact("field", new.home(path) or path, name)):
            return same_value(option.get("default"), change.before)
    return False


def _due(change: Change, old: Snapshot, version: str | None) -> str | None:
    """The version for which the removal of a fact was announced, if the new version has reached it."""
    fact = change.old
    if fact is None or version is None or change.op not in ("removed", "renamed"):
        return None
    told = [old.fact("deprecation", owner, name) for owner, name in ((fact.owner, fact.name), (fact.path, ""))]
    until = fact.get("until") or next((known.get("until") for known in told if known and known.get("until")), None)
    try:
        return until if until and Version(version) >= Version(until) else None
    except InvalidVersion:
        return None
