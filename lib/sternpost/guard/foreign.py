"""Facts of base classes that live in other libraries, pinned: `foreign/<library>.txt`, in the form of a snapshot.

A class that inherits from `transformers.TrainingArguments` has a hundred options that its own source does not name.
Which of them it overrides, and which of its members are still inherited when it drops its own, can only be told with
the facts of the base. One pinned version serves all comparisons, so that both sides are measured alike.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .facts import Fact, Snapshot
from .snapshot import parse

FOLDER = Path(__file__).with_name("foreign")


@cache
def known_bases() -> Snapshot:
    """The pinned facts of all libraries."""
    facts: list[Fact] = []
    for file in sorted(FOLDER.glob("*.txt")):
        facts += parse(file.read_text(encoding="utf-8"), f"{file.stem} (pinned facts)").facts
    return Snapshot.of(facts)


@cache
def _homes() -> dict[tuple[str, str], str]:
    """(library, class name) -> the path under which the facts are kept: importers take classes from any module."""
    return {(path.partition(".")[0], path.rpartition(".")[2]): path for path in known_bases().names}


def foreign_base(path: str) -> str | None:
    """The pinned class behind a path in another library; None if nothing is known of it."""
    return _homes().get((path.partition(".")[0], path.rpartition(".")[2]))


def ancestors(snapshot: Snapshot, owner: str) -> list[str]:
    """The bases of a class, nearest first, and theirs, as far as the snapshot and the pinned facts know them."""
    found: list[str] = []
    ahead = [owner]
    for known in ahead:  # grows while it is walked
        for fact in (*snapshot.owned("base", known), *known_bases().owned("base", known)):
            base = snapshot.home(fact.name) or foreign_base(fact.name) or fact.name
            if base not in ahead:
                ahead.append(base)
                found.append(base)
    return found


def inherited(snapshot: Snapshot, owner: str, kind: str, name: str) -> Fact | None:
    """The fact of this kind and name that a class inherits; None if it inherits none that is known."""
    for base in ancestors(snapshot, owner):
        for source in (snapshot, known_bases()):
            fact = source.fact(kind, base, name)
            if fact is not None:
                return fact
    return None


def inherited_fields(snapshot: Snapshot, owner: str) -> Iterator[Fact]:
    """Pinned options of the bases of a class, the nearest base first; each name once."""
    seen: set[str] = set()
    for base in ancestors(snapshot, owner):
        for fact in known_bases().owned("field", base):
            if fact.name not in seen:
                seen.add(fact.name)
                yield fact


def pinned_defaults(path: str) -> dict[str, str | None]:
    """The options of a class in another library, as far as they are pinned.

    Each with its default, or None where the class settles it only when it is made.
    """
    home = foreign_base(path)
    known = known_bases()
    found: dict[str, str | None] = {}
    for owner in [home, *ancestors(known, home)] if home else ():
        for fact in known.owned("field", owner):
            found.setdefault(fact.name, fact.get("default") if fact.get("settled") is None else None)
    return found
