"""The text form of a snapshot: one fact per line, sorted, ASCII only, so that git itself shows a break.

    kind owner [name] [detail=value ...]

A word that holds anything but plain printable characters is written as a JSON string.
"""

import json
import re
from collections.abc import Iterable
from itertools import pairwise

from .facts import KINDS, Fact, Origin, Snapshot

HEADER = "# sternpost guard snapshot, format 1: one fact per line, sorted; docs/guard.md explains it"

_WORD = re.compile(r'(?:([a-z]+)=)?("(?:[^"\\]|\\.)*"|[^\s"]+)(?: |$)')
_PLAIN = re.compile(r"[!#-~]+")


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
    """Read a snapshot back; the facts know their line in `file`.

    Raises:
        SnapshotError: names file and line.
    """
    lines = text.split("\n")
    if lines[0] != HEADER:
        raise SnapshotError(f"{file}:1: not a snapshot of this format: the first line must be `{HEADER}`.")
    facts: dict[tuple[str, str, str], Fact] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line or line.startswith("#"):
            continue
        fact = _plain_fact(line, Origin(file, number)) or parse_fact(line, Origin(file, number))
        key = (fact.kind, fact.owner, fact.name)
        if key in facts:
            raise SnapshotError(f"{file}:{number}: states `{' '.join(key)}` a second time.")
        facts[key] = fact
    return Snapshot(tuple([facts[key] for key in sorted(facts)]))


def _plain_fact(line: str, origin: Origin) -> Fact | None:
    """The fact of a line without quotes, which most are; None if it has to be looked at more closely."""
    if '"' in line:
        return None
    kind, _, rest = line.partition(" ")
    owner, _, rest = rest.partition(" ")
    words = rest.split(" ") if rest else []
    name = words.pop(0) if words and "=" not in words[0] else ""
    details = []
    for word in words:
        detail, equals, value = word.partition("=")
        if not (equals and value and detail.isascii() and detail.isalpha() and detail.islower()):
            return None
        details.append((detail, value))
    if kind not in KINDS or not owner or "=" in owner or owner[0] == "#":
        return None
    if len(details) > 1:
        details.sort()
        if any(one[0] == other[0] for one, other in pairwise(details)):
            return None
    return Fact(kind, owner, name, tuple(details), origin)


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
