"""A verdict for code hosts and readers of pages: SARIF, annotations of a workflow, Markdown, one HTML page."""

import json
from dataclasses import dataclass
from html import escape

from ..report.page import page_html
from ..report.sections import Section
from .check import Verdict
from .facts import Origin
from .findings import Finding, listed
from .report_words import allow_line, complaints, summary, witnessed
from .rules import all_rules

_COMPLAINTS = {
    "stale": "The snapshot of this tree has not been written.",
    "exception": "An allowed break has ended, or no finding needs it.",
    "release": "The changelog or the version say less than the changes are.",
    "overdue": "What was to go by this version is still there.",
    "unreadable": "A file cannot be read.",
}


def as_sarif(verdict: Verdict) -> str:
    """SARIF 2.1.0: breaks and complaints are errors, breaks of what was never promised are notes."""
    sentences = {rule.id: rule.hit for rule in all_rules()} | _COMPLAINTS
    results = [
        _result(f.rule, "error" if f.blocking else "note", f"{f.says} {f.soften}", _place(f), f.subject)
        for f in verdict.findings
        if f.bump == "major"
    ]
    results += [
        _result(kind, "error", text, Origin(file, line), text) for kind, text, file, line in complaints(verdict)
    ]
    used = sorted({str(result["ruleId"]) for result in results})
    rules = [{"id": rule, "shortDescription": {"text": sentences[rule]}} for rule in used]
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": {"name": "sternpost guard", "rules": rules}}, "results": results}],
        },
        indent=2,
    )


def _result(rule: str, level: str, text: str, place: Origin | None, subject: str) -> dict[str, object]:
    found: dict[str, object] = {"ruleId": rule, "level": level, "message": {"text": text}}
    if place is not None:
        region = {"region": {"startLine": place.line}} if place.line else {}
        found["locations"] = [{"physicalLocation": {"artifactLocation": {"uri": place.file}, **region}}]
    return found | {"partialFingerprints": {"subject": f"{rule} {subject}"}}


def _place(finding: Finding) -> Origin | None:
    """Where to look at: the new source, or the line of the snapshot that no longer holds."""
    return finding.new_at or finding.old_at


def as_github(verdict: Verdict) -> str:
    """Workflow commands that put each break on its line of a pull request."""
    lines = []
    for finding in verdict.findings:
        if finding.bump == "major":
            level = "error" if finding.blocking else "notice"
            text = f"{finding.says} Hit: {finding.hit}. {finding.soften}"
            lines.append(_command(level, finding.rule, _place(finding), text))
    lines += [_command("error", kind, Origin(file, line), text) for kind, text, file, line in complaints(verdict)]
    return "\n".join([*lines, summary(verdict)]) + "\n"


def _command(level: str, title: str, place: Origin | None, text: str) -> str:
    at = f"file={_property(place.file)}," if place is not None else ""
    at += f"line={place.line}," if place is not None and place.line else ""
    return f"::{level} {at}title={_property(title)}::{_escape(text)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


def as_markdown(verdict: Verdict) -> str:
    """A page for a changelog, an issue or a migration guide."""
    parts = [f"# Since {verdict.baseline}", "", summary(verdict)]
    for title, findings in _chapters(verdict):
        parts += ["", f"## {title}", ""]
        for finding in findings:
            parts.append(f"- **{finding.rule}**: {finding.says}")
            if finding.bump == "major":
                parts += [f"  - {label}: {text}" for label, text in _rows(finding, quote="`")]
            if finding.witness is not None:
                parts += ["", "  ```python", *(f"  {line}" for line in finding.witness.snippet.splitlines()), "  ```"]
    told = complaints(verdict)
    parts += (
        ["", "## To be put right", "", *(f"- {kind}: {text} ({file})" for kind, text, file, _ in told)] if told else []
    )
    return "\n".join(parts) + "\n"


def _chapters(verdict: Verdict) -> list[tuple[str, tuple[Finding, ...]]]:
    rest = [finding for finding in verdict.findings if not finding.blocking]
    chapters = (
        ("Breaks", verdict.breaks),
        ("Allowed breaks", verdict.allowed),
        ("Breaks of what was never promised", tuple(f for f in rest if f.bump == "major")),
        ("Changes that break nobody", tuple(f for f in rest if f.bump != "major" and f.rule != "added")),
        ("New", tuple(f for f in rest if f.rule == "added")),
    )
    return [(title, findings) for title, findings in chapters if findings]


def _rows(finding: Finding, quote: str = "") -> list[tuple[str, str]]:
    """What there is to know about a break, label by label."""
    sides = [("old", finding.old, finding.old_at), ("new", finding.new, finding.new_at)]
    rows = [(label, f"{quote}{text or '-'}{quote}" + (f" ({at})" if at else "")) for label, text, at in sides]
    rows += [("also", listed(finding.also))] if finding.also else []
    rows += [("hit", finding.hit), ("soften", finding.soften), ("allow", f"{quote}{allow_line(finding)}{quote}")]
    return rows + ([("witness", witnessed(finding.witness))] if finding.witness is not None else [])


@dataclass(frozen=True)
class _Chapter:
    """Findings of one kind: breaks as cards, everything else as lines."""

    title: str
    findings: tuple[Finding, ...]

    def html(self) -> str:
        cards = [finding for finding in self.findings if finding.bump == "major"]
        lines = [finding for finding in self.findings if finding.bump != "major"]
        listed = "".join(f"<li>{escape(finding.says)}</li>" for finding in lines)
        return "".join(map(_card, cards)) + (f"<article><ul>{listed}</ul></article>" if lines else "")


def _card(finding: Finding) -> str:
    rows = "".join(f"<tr><th>{label}</th><td>{escape(text)}</td></tr>" for label, text in _rows(finding))
    code = f"<pre>{escape(finding.witness.snippet)}</pre>" if finding.witness is not None else ""
    kind = "wrong" if finding.blocking else "note"
    head = f'<p>{escape(finding.says)} <span class="{kind}">{escape(finding.rule)}</span></p>'
    return f"<article>{head}<table>{rows}</table>{code}</article>"


@dataclass(frozen=True)
class _Complaints:
    title: str
    rows: list[tuple[str, str, str, int | None]]

    def html(self) -> str:
        told = "".join(
            f"<li><b>{kind}</b> {escape(text)} <code>{escape(file)}</code></li>" for kind, text, file, _ in self.rows
        )
        return f"<article><ul>{told}</ul></article>"


@dataclass(frozen=True)
class _Verdict:
    title: str
    text: str
    good: bool

    def html(self) -> str:
        return f'<article><p class="{"right" if self.good else "wrong"}">{escape(self.text)}</p></article>'


def as_html(verdict: Verdict) -> str:
    """The compatibility report: one page that needs nothing else."""
    told = complaints(verdict)
    sections: list[Section] = [
        _Verdict("Verdict", summary(verdict), verdict.code == 0),
        *(_Chapter(title, findings) for title, findings in _chapters(verdict)),
        *([_Complaints("To be put right", told)] if told else []),
    ]
    return page_html(f"Compatibility since {verdict.baseline}", sections, "Sternpost compatibility report")
