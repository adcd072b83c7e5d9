"""Sentences that every format of a report uses."""

import json

from .check import Verdict
from .findings import Finding, Witness


def summary(verdict: Verdict) -> str:
    if verdict.problems:
        state = "cannot tell: not everything could be read"
    elif verdict.code:
        state = "not releasable as it is"
    else:
        state = "nothing that was promised is broken"
    breaks = f"{len(verdict.breaks)} break{'s' if len(verdict.breaks) != 1 else ''}"
    counts = f"{breaks} and {len(verdict.allowed)} allowed since {verdict.baseline}"
    return f"guard: {state} ({counts}; needs a {verdict.bump} release)"


def allow_line(finding: Finding) -> str:
    """What an entry of `except.toml` says to allow a break."""
    return f'rule = "{finding.rule}", subject = {json.dumps(finding.subject)}'


def witnessed(witness: Witness) -> str:
    """What running the snippet of a finding has shown."""
    if witness.before is not None:
        return f"shows nothing: it fails on the last release as well ({witness.before})"
    if witness.after is None:
        return "does not confirm it: the snippet still works here"
    return f"works on the last release, fails here: {witness.after}"


def complaints(verdict: Verdict) -> list[tuple[str, str, str, int | None]]:
    """What fails a check besides breaks: what it is, its text, and where it is to be put right."""
    found: list[tuple[str, str, str, int | None]] = []
    if verdict.stale:
        found.append(("stale", verdict.stale, verdict.stale.split(" ", 1)[0], None))
    found += [("exception", p.message, p.origin.file, p.origin.line) for p in verdict.entries]
    found += [("release", message, "changelog.d/README.md", None) for message in verdict.release]
    found += [("overdue", p.message, p.origin.file, p.origin.line) for p in verdict.overdue]
    return found + [("unreadable", p.message, p.origin.file, p.origin.line) for p in verdict.problems]
