"""Names that are gone: each that a release has promised leaves an entry that says what became of it.

The table is a literal, `{"package.Name": {"since": "0.4.0", "last": "0.3.2", "why": "...", "use": "..."}}`, at the
dotted path that the setting `tombstones` gives; the package raises an ImportError of these words.
"""

from collections.abc import Iterator
from pathlib import Path

import griffe
from packaging.version import InvalidVersion, Version

from .facts import EXPERIMENTAL, INTERNAL, Fact, Origin, Problem, Snapshot, make_fact
from .resolve import Resolver
from .settings import Settings
from .snapshot import parse
from .values import literal

_NEEDED = ("since", "last", "why")


def tombstone_facts(settings: Settings, resolver: Resolver) -> tuple[list[Fact], list[Problem]]:
    """A fact for each entry of the table; entries that say too little are problems."""
    path = settings.tombstones
    if path is None:
        return [], []
    found = resolver.find(path)
    if not isinstance(found, griffe.Attribute):
        where = settings.shown(settings.pyproject) if settings.pyproject else settings.name
        return [], [Problem(Origin(where), f"there is no table `{path}`, which the option `tombstones` names.")]
    origin = resolver.tree.origin(found)
    table = literal(found.value, found.module, resolver)
    if not isinstance(table, dict):
        return [], [Problem(origin, f"`{path}` must be a literal: it is read, not run.")]
    facts, problems = [], []
    for name, stone in table.items():
        lacking = [key for key in _NEEDED if not (isinstance(stone, dict) and isinstance(stone.get(key), str))]
        if lacking:
            problems.append(Problem(origin, f"the entry of `{name}` does not say `{lacking[0]}`."))
        else:
            details = {key: str(stone[key]) for key in ("since", "last", "use") if stone.get(key)}
            facts.append(make_fact("tombstone", str(name), "", origin, **details))
    return facts, problems


def unburied(settings: Settings, new: Snapshot) -> list[str]:
    """Names of any frozen snapshot that are gone without an entry, and entries of names that are there."""
    if settings.tombstones is None:
        return []
    told = []
    for path, version in sorted(_promised(settings.snapshots).items()):
        if path not in new.names and not new.fact("tombstone", path) and path.rpartition(".")[0] not in new.unreadable:
            told.append(f"`{path}`, which {version} had, is gone: say what became of it in `{settings.tombstones}`.")
    there = [fact.owner for fact in new.kind("tombstone") if fact.owner in new.names]
    return told + [f"`{path}` is not gone: take it out of `{settings.tombstones}`." for path in there]


def _promised(folder: Path) -> dict[str, str]:
    """Names that are no modules, each with the last version that had it."""
    found: dict[str, str] = {}
    for version, file in _frozen(folder):
        snapshot = parse(file.read_text(encoding="utf-8"), file.name)
        for path, fact in snapshot.names.items():
            if fact.kind != "module" and snapshot.tier(path) not in (EXPERIMENTAL, INTERNAL):
                found[path] = str(version)
    return found


def _frozen(folder: Path) -> Iterator[tuple[Version, Path]]:
    """The frozen snapshots, oldest first."""
    versions = []
    for file in folder.glob("*.txt"):
        try:
            versions.append((Version(file.stem), file))
        except InvalidVersion:
            continue  # next.txt
    return iter(sorted(versions))
