"""Comments that accept a hit: `# guard: ignore[rule] reason`. Without a reason they accept nothing."""

import io
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass

from .collect import Collection
from .files import decode
from .hits import RULES, Hit

_COMMENT = re.compile(r"#\s*guard:\s*ignore(?:\[([\w\s,-]*)\])?\s*:?\s*(.*)")

_BYTES = re.compile(rb"#\s*guard:\s*ignore")


@dataclass(frozen=True)
class Suppression:
    """One comment. It speaks of its own line, and of the next one if nothing else stands on its own."""

    file: str
    line: int
    rules: frozenset[str]
    reason: str
    alone: bool

    def covers(self, hit: Hit) -> bool:
        lines = (self.line, self.line + 1) if self.alone else (self.line,)
        same = hit.contact.place.file == self.file and (hit.at in lines or hit.contact.place.line in lines)
        return same and (not self.rules or hit.rule in self.rules)


def suppressions(collection: Collection, files: Iterable[str]) -> list[Suppression]:
    """All such comments in some files."""
    found: list[Suppression] = []
    for file in sorted(set(files)):
        data = collection.contents.get(file, b"")
        if not _BYTES.search(data):
            continue
        try:
            lines = io.StringIO(decode(data)).readline
            for token in tokenize.generate_tokens(lines):
                match = _COMMENT.match(token.string) if token.type == tokenize.COMMENT else None
                if match:
                    rules = frozenset(rule.strip() for rule in (match[1] or "").split(",") if rule.strip())
                    alone = not token.line[: token.start[1]].strip()
                    found.append(Suppression(file, token.start[0], rules, match[2].strip(), alone))
        except (tokenize.TokenError, SyntaxError, ValueError, RecursionError):
            continue
    return found


def sort_out(hits: list[Hit], comments: list[Suppression]) -> tuple[list[Hit], list[tuple[Hit, str]], list[str]]:
    """Hits that stand, those that a comment accepts with its reason, and what is wrong with comments."""
    standing: list[Hit] = []
    accepted: list[tuple[Hit, str]] = []
    used: set[Suppression] = set()
    for hit in hits:
        by = next((comment for comment in comments if comment.reason and comment.covers(hit)), None)
        if by is None:
            standing.append(hit)
        else:
            used.add(by)
            accepted.append((hit, by.reason))
    complaints = []
    for comment in comments:
        unknown = sorted(rule for rule in comment.rules if rule not in RULES)
        place = f"{comment.file}:{comment.line}"
        if unknown:
            complaints.append(f"{place}: there is no rule `{unknown[0]}`.")
        elif not comment.reason:
            complaints.append(f"{place}: `guard: ignore` accepts nothing without a reason behind it.")
        elif comment not in used:
            complaints.append(f"{place}: nothing to ignore here any more.")
    return standing, accepted, complaints
