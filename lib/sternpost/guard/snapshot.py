"""The text form of a snapshot: one fact per line, sorted, ASCII only, so that git itself shows a break.

    kind owner [name] [detail=value ...]

A word that holds anything but plain printable characters is written as a JSON string.
"""

import json
import re
from collections.abc import Iterable
from functools import cached_property
from itertools import islice, pairwise
from operator import attrgetter, lt

from .facts import KINDS, Fact, Origin, Snapshot

HEADER = "# sternpost guard snapshot, format 2: one fact per line, sorted; docs/guard.md explains it"
FORMER = HEADER.replace("format 2", "format 1")
"""Of snapshots that an older guard wrote. They do not say what must be awaited (functions), what is abstract, what
`__new__` takes and which fields a named tuple has; such facts are compared only where both sides state them."""

_WORD = re.compile(r'(?:([a-z]+)=)?("(?:[^"\\]|\\.)*"|[^\s"]+)(?: |$)')
_PLAIN = re.compile(r"[!#-~]+")
_NAME = attrgetter("name")
_BODY = re.compile(r" body=\w+")
"""Helps to know what was renamed; that it differs is no difference of the surface."""
_KEYS = re.compile(r'^([a-z]+) ([^\s"=#][^\s"=]*)(?: ([^\s=]+)(?= |$))?', re.M)
"""Kind, owner and name, at the beginning of a line that needs no closer look."""


class SnapshotError(ValueError):
    """A snapshot file that is not one."""


def render(facts: Iterable[Fact]) -> str:
    """The text of a snapshot, with its header and a newline at the end."""
    return "\n".join([HEADER, *sorted(render_fact(fact) for fact in facts)]) + "\n"


def render_fact(fact: Fact) -> str:
    """The line of a fact."""
    words = [fact.kind, _name(fact.owner)]
    if fact.name:
        words.append(_name(fact.name))
    words += [f"{key}={_value(value)}" for key, value in fact.details]
    return " ".join(words)


def parse(text: str, file: str) -> Snapshot:
    """Read a snapshot back; the facts know their line in `file`. Of a text in good order a line is read when asked for.

    Raises:
        SnapshotError: names file and line.
    """
    lines = text.split("\n")
    if lines[0] not in (HEADER, FORMER):
        raise SnapshotError(f"{file}:1: not a snapshot of this format: the first line must be `{HEADER}`.")
    first = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    stated = lines[first:-1] if lines[-1] == "" else lines[first:]
    in_order = all(map(lt, stated, islice(stated, 1, None)))  # else a merge, or a hand: what counts has to be found out
    index = _index(text, len(stated)) if in_order else None
    complete = lines[0] == HEADER
    return _parse_all(lines, file, complete) if index is None else Recorded(stated, index, file, first + 1, complete)


def _parse_all(lines: list[str], file: str, complete: bool) -> Snapshot:
    facts: dict[tuple[str, str, str], Fact] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line or line.startswith("#"):
            continue
        fact = _fact(line, Origin(file, number))
        if fact.key in facts:
            raise SnapshotError(f"{file}:{number}: states `{' '.join(fact.key)}` a second time.")
        facts[fact.key] = fact
    return Snapshot(tuple([facts[key] for key in sorted(facts)]), complete=complete)


Index = dict[str, dict[str, int]]
"""Kind -> owner -> the first line of its facts."""


def _index(text: str, count: int) -> Index | None:
    """Where each group of facts stands; None if one of the `count` lines has to be looked at more closely."""
    keys = _KEYS.findall(text)
    if not len(set(keys)) == len(keys) == count:
        return None
    index: Index = {}
    starts: dict[str, int] = {}
    kind_before = owner_before = ""
    for number, (kind, owner, _) in enumerate(keys):
        if kind != kind_before:
            starts = {}
            index[kind] = starts
        if kind != kind_before or owner != owner_before:
            starts[owner] = number
            kind_before, owner_before = kind, owner
    return index if index.keys() <= KINDS.keys() else None


class Recorded(Snapshot):
    """The facts of a text that is in order: most of them are never asked for, because nothing about them changed."""

    lines: list[str]
    index: Index
    file: str
    first: int
    """The number of the first of the lines."""

    def __init__(self, lines: list[str], index: Index, file: str, first: int, complete: bool) -> None:
        vars(self).update(problems=(), unreadable=frozenset(), complete=complete)
        vars(self).update(lines=lines, index=index, file=file, first=first)

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        return tuple(sorted((fact for kind in self.index for fact in self.kind(kind)), key=lambda fact: fact.key))

    @cached_property
    def _read(self) -> dict[tuple[str, str], tuple[Fact, ...]]:
        return {}

    def owned(self, kind: str, owner: str) -> tuple[Fact, ...]:
        key = (kind, owner)
        found = self._read.get(key)
        if found is None:
            found = self._read[key] = self._facts(kind, owner)
        return found

    def _facts(self, kind: str, owner: str) -> tuple[Fact, ...]:
        """Of a line that says only kind and owner, and of those that go on behind it."""
        number = self.index.get(kind, {}).get(owner)
        if number is None:
            return ()
        start = f"{kind} {owner}"
        size, lines, facts = len(start), self.lines, []
        while number < len(lines) and (line := lines[number]).startswith(start) and line[size : size + 1] in ("", " "):
            origin = Origin(self.file, self.first + number)
            facts.append(_plain_fact(line, kind, owner, line[size + 1 :], origin) or parse_fact(line, origin))
            number += 1
        return tuple(sorted(facts, key=_NAME) if len(facts) > 1 else facts)

    def owners(self, kind: str) -> Iterable[str]:
        return self.index.get(kind, {}).keys()

    def changed(self, other: Snapshot) -> set[str]:
        if not isinstance(other, Recorded):
            return super().changed(other)
        mine, theirs = set(self.lines), set(other.lines)
        differ = [{_BODY.sub("", line) for line in one} for one in (mine - theirs, theirs - mine)]
        return {line.split(" ", 2)[1] for line in differ[0] ^ differ[1]}


def _fact(line: str, origin: Origin) -> Fact:
    kind, _, rest = line.partition(" ")
    owner, _, rest = rest.partition(" ")
    plain = kind in KINDS and owner and "=" not in owner and owner[0] not in '"#'
    return (_plain_fact(line, kind, owner, rest, origin) if plain else None) or parse_fact(line, origin)


def _plain_fact(line: str, kind: str, owner: str, rest: str, origin: Origin) -> Fact | None:
    """The fact of a line without quotes, which most are; None if it has to be looked at more closely."""
    if '"' in line:
        return None
    words = rest.split(" ") if rest else []
    name = words.pop(0) if words and "=" not in words[0] else ""
    details = []
    for word in words:
        detail, equals, value = word.partition("=")
        if not (equals and value) or (detail not in _DETAILS and not _is_detail(detail)):
            return None
        details.append((detail, value))
    if len(details) > 1:
        details.sort()
        if any(one[0] == other[0] for one, other in pairwise(details)):
            return None
    return Fact(kind, owner, name, tuple(details), origin)


_DETAILS: set[str] = set()
"""Names of details that have been looked at: there are few, and each stands in thousands of lines."""


def _is_detail(text: str) -> bool:
    if text.isascii() and text.isalpha() and text.islower():
        _DETAILS.add(text)
    return text in _DETAILS


def parse_fact(line: str, origin: Origin) -> Fact:
    """Read one line.

    Raises:
        SnapshotError: the line is not a fact.
    """
    words: list[str] = []
    details: dict[str, str] = {}
    position = 0
    while position < len(line):
        match = _WORD.match(line, position)
        if match is None or (match[1] is None and details) or (match[1] is not None and len(words) < 2):
            raise SnapshotError(f"{origin}: cannot read {line[position : position + 60]!r} as a part of a fact.")
        word = _unquote(match[2], origin)
        if match[1] is None:
            words.append(word)
        else:
            details[match[1]] = word
        position = match.end()
    if len(words) not in (2, 3) or words[0] not in KINDS:
        raise SnapshotError(f"{origin}: a fact is `kind owner [name] [detail=value ...]`, got {line[:80]!r}.")
    return Fact(words[0], words[1], words[2] if len(words) == 3 else "", tuple(sorted(details.items())), origin)


def _name(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and "=" not in text and text[0] != "#" else json.dumps(text)


def _value(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _unquote(word: str, origin: Origin) -> str:
    if not word.startswith('"'):
        return word
    try:
        return str(json.loads(word))
    except ValueError as error:
        raise SnapshotError(f"{origin}: {word[:60]} is not a JSON string: {error}") from None
