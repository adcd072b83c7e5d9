"""A scan as text with excerpts, JSON, SARIF, annotations for GitHub, and Markdown."""

import json
from collections.abc import Callable
from urllib.parse import quote

from ..facts import Origin
from .files import decode
from .hits import RULES, Hit
from .scan import Scan

MAX_LINES = 12
"""Lines of one cause that the text shows; the others are counted."""
_SARIF = {"error": "error", "warning": "warning", "note": "note"}
_GITHUB = {"error": "error", "warning": "warning", "note": "notice"}


def as_text(scan: Scan) -> str:
    """One block for each cause: what broke, what to do, and every line that it hits."""
    blocks = [f"cannot read  {problem}" for problem in scan.problems]
    blocks += [_block(hits, scan) for hits in scan.causes.values()]
    blocks += [f"accepted  {hit.place}: {hit.says} ({reason})" for hit, reason in scan.accepted]
    blocks += [f"comment  {complaint}" for complaint in scan.complaints]
    lines = "\n\n".join([*blocks, summary(scan)]).split("\n")
    return "\n".join(map(printable, lines)) + "\n"


def _block(hits: list[Hit], scan: Scan) -> str:
    first = hits[0]
    lines = [f"{first.level.upper()} {first.rule}: {first.says}"]
    if first.fix:
        lines.append(f"  do:   {first.fix}")
    lines += [f"  {label}  {origin} ({side})" for label, origin, side in sides_of(first, scan)]
    width = max(len(hit.place) for hit in hits[:MAX_LINES])
    lines += [f"  {hit.place:<{width}} | {excerpt(hit, scan)}" for hit in hits[:MAX_LINES]]
    if len(hits) > MAX_LINES:
        lines.append(f"  ... and {len(hits) - MAX_LINES} more lines")
    return "\n".join(lines)


def sides_of(hit: Hit, scan: Scan) -> list[tuple[str, Origin, str]]:
    """Label, place and version of what is known of both sides."""
    known = (("old:", hit.old_at, scan.old.shown), ("new:", hit.new_at, scan.new.shown))
    return [(label, origin, shown) for label, origin, shown in known if origin is not None]


def source_lines(hit: Hit, scan: Scan) -> list[str]:
    """The lines of the project's file; none if it is not Python or cannot be read."""
    data = scan.collection.contents.get(hit.contact.place.file, b"")
    try:
        return decode(data).replace("\r\n", "\n").split("\n")
    except (SyntaxError, ValueError):
        return []


def excerpt(hit: Hit, scan: Scan) -> str:
    """The line of the project, without its indentation."""
    lines = source_lines(hit, scan)
    return printable(lines[hit.at - 1].strip())[:160] if 0 < hit.at <= len(lines) else ""


def printable(text: str) -> str:
    """Without what a terminal would take for a command: the text is that of strangers."""
    return "".join(c if c.isprintable() else " " if c == "\t" else "\ufffd" for c in text)


def summary(scan: Scan) -> str:
    """One line of verdict."""
    counts = scan.levels
    told = ", ".join(
        f"{counts[level]} {level}{'s' if counts[level] != 1 else ''}" for level in ("error", "warning", "note")
    )
    causes = len(scan.causes)
    contacts = len(scan.collection.contacts)
    state = "breaks" if counts["error"] else "changes silently" if counts["warning"] else "goes on"
    return (
        f"guard scan: {scan.project} {state} from {scan.old.shown} to {scan.new.shown}: {told}"
        f" ({causes} cause{'s' if causes != 1 else ''}; {contacts} contacts in {len(scan.collection.walked)} files)"
    )


def as_json(scan: Scan) -> str:
    """The same as data. `format` rises when a key changes its meaning or goes."""
    return json.dumps(
        {
            "format": 1,
            "project": scan.project,
            "package": scan.package,
            "from": {"version": scan.old.version, "shown": scan.old.shown},
            "to": {"version": scan.new.version, "shown": scan.new.shown},
            "exit": scan.code,
            "contacts": len(scan.collection.contacts),
            "hits": [_hit(hit, scan) for hit in scan.hits],
            "accepted": [_hit(hit, scan) | {"reason": reason} for hit, reason in scan.accepted],
            "comments": scan.complaints,
            "problems": [{"at": _origin(p.origin), "message": p.message} for p in scan.problems],
        },
        indent=2,
    )


def _hit(hit: Hit, scan: Scan) -> dict[str, object]:
    return {
        "rule": hit.rule,
        "level": hit.level,
        "file": hit.contact.place.file,
        "line": hit.at,
        "contact": hit.contact.kind,
        "symbol": hit.symbol,
        "says": hit.says,
        "fix": hit.fix,
        "cause": hit.cause,
        "source": excerpt(hit, scan),
        "old_at": _origin(hit.old_at),
        "new_at": _origin(hit.new_at),
    }


def _origin(origin: Origin | None) -> dict[str, object] | None:
    return {"file": origin.file, "line": origin.line} if origin is not None else None


def as_sarif(scan: Scan) -> str:
    """SARIF 2.1.0, as code hosts show it."""
    used = sorted({hit.rule for hit in scan.hits})
    rules = [
        {
            "id": rule,
            "shortDescription": {"text": RULES[rule][1]},
            "defaultConfiguration": {"level": _SARIF[RULES[rule][0]]},
        }
        for rule in used
    ]
    results = [
        {
            "ruleId": hit.rule,
            "ruleIndex": used.index(hit.rule),
            "level": _SARIF[hit.level],
            "message": {"text": " ".join(filter(None, (hit.says, hit.fix)))},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(hit.contact.place.file)},
                        "region": {"startLine": hit.at},
                    }
                }
            ],
            "partialFingerprints": {"cause": hit.cause},
        }
        for hit in scan.hits
    ]
    driver = {"name": "sternpost guard scan", "rules": rules}
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": results}],
        },
        indent=2,
    )


def as_github(scan: Scan) -> str:
    """Workflow commands that put each hit on its line of a pull request."""
    lines = []
    for hit in scan.hits:
        message = " ".join(filter(None, (hit.says, hit.fix)))
        place = f"file={_property(hit.contact.place.file)},line={hit.at},title={_property(hit.rule)}"
        lines.append(f"::{_GITHUB[hit.level]} {place}::{_escape(message)}")
    return "\n".join([*lines, summary(scan)]) + "\n"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


def as_markdown(scan: Scan) -> str:
    """A page for an issue or a migration guide."""
    parts = [f"# {scan.package}: {scan.old.shown} to {scan.new.shown} in {scan.project}", "", summary(scan), ""]
    for level, title in (("error", "Breaks"), ("warning", "Changes silently"), ("note", "Worth knowing")):
        causes = [hits for hits in scan.causes.values() if hits[0].level == level]
        parts += [f"## {title}", ""] if causes else []
        for hits in causes:
            first = hits[0]
            parts.append(f"- **{first.rule}** {first.says} {first.fix}".rstrip())
            parts += [f"  - `{hit.place}` `` {excerpt(hit, scan)} ``" for hit in hits]
        parts += [""] if causes else []
    parts += [f"- cannot read {problem}" for problem in scan.problems]
    return "\n".join(parts).rstrip() + "\n"


FORMATS: dict[str, Callable[[Scan], str]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "github": as_github,
    "markdown": as_markdown,
}
