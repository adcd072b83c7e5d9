"""Strings: pieces of source that are searched for, keys and names, and the versions that the project declares."""

import re
from collections.abc import Iterator

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from .contacts import Contact, Place
from .guards import reached
from .hits import Hit, Level, make_hit
from .sides import Sides

MIN_WORD = 6
"""Shorter words are words of any program."""
_TELLING = re.compile(r"[a-z\d]_[a-z\d]|/|[a-z][A-Z]")


def anchor_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """Text of the package's source that was there and is not any more."""
    if contact.place.file.rpartition("/")[0] not in sides.collection.source_folders:
        return
    before = sides.old.holding(contact.words)
    if not before:
        return
    after = sides.new.holding(contact.words)
    lost = sorted(before - after)
    if not after:
        says = f"No file of `{sides.package}` has this text any more (it was in {', '.join(lost[:3])})."
        yield make_hit("anchor-gone", contact, contact.name, says)
    elif lost:
        says = f"This text is no longer in {', '.join(lost[:3])}."
        yield make_hit("anchor-gone", contact, contact.name, says, level="note")


def word_hits(sides: Sides) -> Iterator[Hit]:
    """Strings that name what the package no longer has: keys, metrics, columns, and names of what it defines."""
    lost = lost_keys(sides)
    words = {word for word in sides.collection.words if len(word) >= MIN_WORD and _TELLING.search(word)}
    names = {word for word in words & sides.old.names if word not in sides.new.names and not sides.new.uses_word(word)}
    for word in sorted(words & lost.keys() | names):
        for place, guard in sides.collection.words[word]:
            if reached(guard, sides.new.version):
                firm = word in lost or place.file.rpartition("/")[0] in sides.collection.source_folders
                yield _word_hit(sides, word, place, "warning" if firm else "note")
    yield from _elsewhere(sides, frozenset(lost))


def lost_keys(sides: Sides) -> dict[str, dict[str, int]]:
    """Keys of the old version that no string of the new one is, in modules that are still there.

    What an option is called, here or in a library that is known, is told as an option.
    """
    alive = {file.rpartition("/")[2] for file in sides.new.texts}
    options = sides.own_fields | sides.pinned
    return {
        key: files
        for key, files in sides.old.keys.items()
        if key not in sides.new.strings
        and key not in options
        and any(file in sides.new.texts or file.rpartition("/")[2] in alive - {"__init__.py"} for file in files)
    }


def _word_hit(sides: Sides, word: str, place: Place, level: Level) -> Hit:
    contact = Contact("string-name", "", place, word)
    says = f"`{sides.package}` no longer uses the name `{word}`."
    return make_hit("key-gone", contact, word, says, old_at=sides.old.key_origin(word), level=level)


def _elsewhere(sides: Sides, lost: frozenset[str]) -> Iterator[Hit]:
    """The same in files that do not mention the package: columns and options are often made far from their use."""
    telling = sorted(key for key in lost if len(key) >= 10 and key.count("_") >= 2 and not sides.new.uses_word(key))
    if not telling:
        return
    pattern = re.compile(rb"""["'](""" + b"|".join(re.escape(key.encode()) for key in telling) + rb""")["']""")
    for file, data in sides.collection.contents.items():
        if file not in sides.collection.walked:
            for match in pattern.finditer(data):
                line = data.count(b"\n", 0, match.start()) + 1
                yield _word_hit(sides, match[1].decode(), Place(file, line), "note")


def requirement_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """The project says itself that it does not work with the new version."""
    try:
        specifiers = SpecifierSet(contact.name)
        old, new = (Version(side.version) if side.version else None for side in (sides.old, sides.new))
    except (InvalidSpecifier, InvalidVersion):
        return
    if old is None or new is None:
        return
    if specifiers.contains(old, prereleases=True) and not specifiers.contains(new, prereleases=True):
        says = f"`{sides.package}{contact.name}` does not allow {new}."
        yield make_hit("undeclared", contact, f"{sides.package}{contact.name}", says)
