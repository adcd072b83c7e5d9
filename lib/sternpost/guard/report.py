"""A verdict as text for people and as JSON for machines; the other formats of `FORMATS` are in `report_hosts`."""

import json
from collections.abc import Callable
from dataclasses import asdict

from .check import Verdict
from .facts import Origin
from .findings import Finding, listed
from .report_hosts import as_github, as_html, as_markdown, as_sarif
from .report_words import allow_line, summary, witnessed

MAX_NEW = 12
"""New things are listed up to this many, then counted."""


def as_text(verdict: Verdict) -> str:
    """One block for each break, then what must be put in order, then one line of verdict."""
    blocks = [f"cannot read  {problem}" for problem in verdict.problems]
    blocks += [_block(finding) for finding in verdict.breaks]
    blocks += [f"stale  {verdict.stale}"] if verdict.stale else []
    blocks += [f"exception  {problem}" for problem in verdict.entries]
    blocks += [f"release  {message}" for message in verdict.release]
    blocks += [f"overdue  {problem}" for problem in verdict.overdue]
    blocks += [f"allowed  {finding.rule}: {finding.says}" for finding in verdict.allowed]
    rest = [finding for finding in verdict.findings if not finding.blocking]
    blocks += ["\n".join(_note(finding) for finding in rest[:MAX_NEW])] if rest else []
    blocks += [f"... and {len(rest) - MAX_NEW} more that break nobody."] if len(rest) > MAX_NEW else []
    return "\n\n".join([*blocks, summary(verdict)]) + "\n"


def _block(finding: Finding) -> str:
    lines = [f"BREAK {finding.rule}", f"  {finding.says}"]
    if finding.also:
        lines.append(f"  also:   {listed(finding.also)}")
    lines.append(f"  old:    {finding.old or '-'}{_place(finding.old_at)}")
    lines.append(f"  new:    {finding.new or '-'}{_place(finding.new_at)}")
    lines.append(f"  hit:    {finding.hit}")
    lines.append(f"  soften: {finding.soften}")
    lines.append(f"  allow:  {allow_line(finding)}")
    if finding.witness is not None:
        lines.append(f"  witness: {witnessed(finding.witness)}")
        lines += [f"    | {line}" for line in finding.witness.snippet.splitlines()]
    return "\n".join(lines)


def _note(finding: Finding) -> str:
    """One line for what does not block: `+` what is new, `~` what changed, `!` a break of what was never promised."""
    if finding.bump == "major":
        return f"! {finding.tier} {finding.rule}: {finding.says}{_place(finding.new_at or finding.old_at)}"
    sign = "+" if finding.rule == "added" else "~"
    return f"{sign} {finding.subject if finding.rule == 'added' else finding.says}{_place(finding.new_at)}"


def _place(origin: Origin | None) -> str:
    return f"   ({origin})" if origin is not None else ""


def as_json(verdict: Verdict) -> str:
    """The same as data. `format` rises when a key changes its meaning or goes."""
    return json.dumps(
        {
            "format": 1,
            "baseline": verdict.baseline,
            "bump": verdict.bump,
            "exit": verdict.code,
            "findings": [_finding(finding) for finding in verdict.findings],
            "allowed": [_finding(finding) for finding in verdict.allowed],
            "stale": verdict.stale,
            "release": list(verdict.release),
            "overdue": [{"at": _origin(p.origin), "message": p.message} for p in verdict.overdue],
            "exceptions": [{"at": _origin(p.origin), "message": p.message} for p in verdict.entries],
            "problems": [{"at": _origin(p.origin), "message": p.message} for p in verdict.problems],
        },
        indent=2,
    )


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "bump": finding.bump,
        "blocking": finding.blocking,
        "tier": finding.tier,
        "subject": finding.subject,
        "also": list(finding.also),
        "says": finding.says,
        "hit": finding.hit,
        "soften": finding.soften,
        "old": finding.old,
        "new": finding.new,
        "old_at": _origin(finding.old_at),
        "new_at": _origin(finding.new_at),
        "witness": asdict(finding.witness) | {"confirms": finding.witness.confirms} if finding.witness else None,
    }


def _origin(origin: Origin | None) -> dict[str, object] | None:
    return {"file": origin.file, "line": origin.line} if origin is not None else None


FORMATS: dict[str, Callable[[Verdict], str]] = {
    "text": as_text,
    "json": as_json,
    "markdown": as_markdown,
    "sarif": as_sarif,
    "github": as_github,
    "html": as_html,
}
