"""Strings: pieces of source that are searched for, keys and names, and the versions that the project declares."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from .code import Function
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
    gone = {word for word in words & sides.old.names if word not in sides.new.names and not sides.new.uses_word(word)}
    touched = sides.touched_files
    for word in sorted(words & lost.keys() | gone):
        everywhere = word in gone or not lost[word].partly
        for place, guard in sides.collection.words[word]:
            known = everywhere or _reads_source(sides, place) or touched & set(lost[word].files)
            if known and reached(guard, sides.new.version):
                firm = everywhere and (word in lost or _reads_source(sides, place))
                yield _word_hit(sides, word, place, lost.get(word), "warning" if firm else "note")
    for word in sorted((words & sides.old.names) - gone - lost.keys()):
        yield from _dispatched(sides, word)
    yield from option_word_hits(sides)
    yield from _called_by_name(sides, words)
    yield from _elsewhere(sides, lost)


@dataclass(frozen=True)
class Lost:
    """A key that is gone: from these files, or (`partly`) only from some of those that had it."""

    files: tuple[str, ...]
    partly: bool


def lost_keys(sides: Sides) -> dict[str, Lost]:
    """Keys that modules which are still there no longer have.

    What an option is called, here or in a library that is known, is told as an option.
    """
    options = sides.any_fields | sides.pinned
    found: dict[str, Lost] = {}
    for key, files in sides.old.keys.items():
        if key in options or len(key) < MIN_WORD:
            continue
        gone = tuple(f for f in files if f in sides.new.texts and not _quotes(sides.new.texts[f], key))
        if gone:
            found[key] = Lost(gone, key in sides.new.strings)
    return found


def _quotes(text: str, key: str) -> bool:
    return f'"{key}"' in text or f"'{key}'" in text


def _reads_source(sides: Sides, place: Place) -> bool:
    return place.file.rpartition("/")[0] in sides.collection.source_folders


def _word_hit(sides: Sides, word: str, place: Place, lost: Lost | None, level: Level) -> Hit:
    contact = Contact("string-name", "", place, word)
    says = f"`{sides.package}` no longer uses the name `{word}`."
    if lost is not None and lost.partly:
        says = f"{', '.join(lost.files[:3])} no longer use{'s' if len(lost.files) == 1 else ''} the key `{word}`."
    return make_hit("key-gone", contact, word, says, old_at=sides.old.key_origin(word), level=level)


def _dispatched(sides: Sides, word: str) -> Iterator[Hit]:
    """Names of methods that a project handles by name, and that one of several modules no longer defines."""
    places = [place for place, _ in sides.collection.words[word] if _reads_source(sides, place)]
    defined = re.compile(rf"^[ \t]*def {re.escape(word)}\(", re.M)
    files = (
        [f for f, text in sides.old.texts.items() if f"def {word}(" in text and defined.search(text)] if places else []
    )
    gone = tuple(f for f in files if f in sides.new.texts and f"def {word}(" not in sides.new.texts[f])
    for place in places if gone else ():
        contact = Contact("string-name", "", place, word)
        yield make_hit("key-gone", contact, word, f"{', '.join(gone[:3])} no longer define `{word}`.", level="note")


def _called_by_name(sides: Sides, words: set[str]) -> Iterator[Hit]:
    """Methods that are named in strings, as for a remote call, and that now need another argument."""
    for path in sorted(sides.touched_classes):
        old, new = sides.old.class_at(path), sides.new.class_at(path)
        if old is None or new is None:
            continue
        before, after = sides.old.members(old), sides.new.members(new)
        for word in sorted(words & before.keys() & after.keys()):
            one, other = before[word], after[word]
            if not isinstance(one, Function) or not isinstance(other, Function):
                continue
            needed = [a.name for a in other.signature.arguments if a.default is None and not one.signature.get(a.name)]
            for place, guard in sides.collection.words[word] if needed else ():
                if reached(guard, sides.new.version):
                    says = f"`{path}.{word}`, which is named here, needs {', '.join(f'`{n}`' for n in needed)} now."
                    at: dict[str, Any] = {"old_at": sides.old.origin(one), "new_at": sides.new.origin(other)}
                    contact = Contact("string-name", "", place, word)
                    yield make_hit("argument-required", contact, f"{path}.{word}", says, level="note", **at)


def option_word_hits(sides: Sides) -> Iterator[Hit]:
    """Options named in strings whose default is another one now, or that are gone from a configuration."""
    for word in sorted(word for word in sides.collection.words if _TELLING.search(word)):
        changes = sides.option_changes.get(word)
        for place, guard in sides.collection.words[word] if changes else ():
            if reached(guard, sides.new.version) and changes:
                contact = Contact("string-name", "", place, word)
                rule = "option-gone" if changes[0][1] == "gone" else "default-shifted"
                says = "; ".join(f"`{owner}.{word}`: {change}" for owner, change in changes[:4])
                yield make_hit(rule, contact, f"{changes[0][0]}.{word}", f"{says}.", level="note")


def _elsewhere(sides: Sides, lost: dict[str, Lost]) -> Iterator[Hit]:
    """The same in files that do not mention the package: columns and options are often made far from their use.

    Only of modules that the project touches, and only names that say more than two words.
    """
    touched = sides.touched_files
    telling = sorted(
        key
        for key, where in lost.items()
        if len(key) >= 10 and key.count("_") >= 2 and any(file in touched for file in where.files)
    )
    if not telling:
        return
    pattern = re.compile(rb"""["'](""" + b"|".join(re.escape(key.encode()) for key in telling) + rb""")["']""")
    for file, data in sides.collection.contents.items():
        if file not in sides.collection.walked:
            for match in pattern.finditer(data):
                line = data.count(b"\n", 0, match.start()) + 1
                key = match[1].decode()
                yield _word_hit(sides, key, Place(file, line), lost[key], "note")


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
