"""Strings: pieces of source that are searched for, keys and names, and the versions that the project declares."""

import re
from collections.abc import Iterator

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from .contacts import Contact, Place
from .guards import reached
from .hits import Hit, make_hit
from .sides import Sides

MIN_WORD = 6
"""Shorter words are words of any program."""
_TELLING = re.compile(r"[a-z\d]_[a-z\d]|/|[a-z][A-Z]")


def anchor_hits(sides: Sides, contact: Contact) -> Iterator[Hit]:
    """Text of the package's source that was there and is not any more."""
    if not sides.collection.reads_source:
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
    candidates = {word for word in sides.collection.words if len(word) >= MIN_WORD and _TELLING.search(word)}
    lost = {word for word in candidates if word in sides.old.keys and word not in sides.new.strings}
    lost |= {
        word
        for word in candidates
        if word in sides.old.words and word not in sides.new.words and word not in sides.own_fields
    }
    for word in sorted(lost):
        for place, guard in sides.collection.words[word]:
            if reached(guard, sides.new.version):
                yield _word_hit(sides, word, place)
    yield from _elsewhere(sides, lost)


def _word_hit(sides: Sides, word: str, place: Place) -> Hit:
    contact = Contact("string-name", "", place, word)
    says = f"`{sides.package}` no longer uses the name `{word}`."
    return make_hit("key-gone", contact, word, says, old_at=sides.old.keys.get(word))


def _elsewhere(sides: Sides, known: set[str]) -> Iterator[Hit]:
    """The same in files that do not mention the package: columns and options are often made far from their use."""
    lost = {k for k in sides.old.keys if len(k) >= 10 and k.count("_") >= 1 and k not in sides.new.strings}
    lost = {key for key in lost if key not in sides.new.words and key.isidentifier()}
    if not lost:
        return
    pattern = re.compile(rb"""["'](""" + b"|".join(re.escape(k.encode()) for k in sorted(lost)) + rb""")["']""")
    for file, data in sides.collection.contents.items():
        if file in sides.collection.walked:
            continue
        for match in pattern.finditer(data):
            line = data.count(b"\n", 0, match.start()) + 1
            yield _word_hit(sides, match[1].decode(), Place(file, line))


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
