"""Breaks that are allowed: `api_snapshots/except.toml`, each with its reason and the day or version that ends it.

[[allow]]
rule = "field-default-changed"
subject = "sternpost.SFTConfig.max_length"
reason = "The old default truncated most chat data; announced in 0.2."
until = "0.4.0"
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from packaging.version import InvalidVersion, Version

from .facts import Origin, Problem
from .findings import Finding
from .rules import all_rules

_KEYS = ("rule", "subject", "reason", "until")


@dataclass(frozen=True)
class Allowance:
    """One allowed break: the finding with this rule about this subject."""

    rule: str
    subject: str
    reason: str
    until: str
    origin: Origin

    def covers(self, finding: Finding) -> bool:
        return self.rule == finding.rule and self.subject == finding.subject

    def has_ended(self, today: date, version: str | None) -> bool:
        """A day is over when it has passed; a version is reached when the package is at it or beyond."""
        if re.fullmatch(r"\d{4}-\d\d-\d\d", self.until):
            return today > date.fromisoformat(self.until)
        return version is not None and Version(version) >= Version(self.until)


class AllowanceError(ValueError):
    """The file of allowed breaks cannot be understood."""


def read_allowances(file: Path, shown: str) -> list[Allowance]:
    """The entries of the file; none if it does not exist.

    Raises:
        AllowanceError: names the entry, what is wrong with it and what it needs.
    """
    try:
        text = file.read_text(encoding="utf-8")
        entries = tomllib.loads(text).get("allow", [])
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise AllowanceError(f"{shown}: cannot be read as TOML: {error}") from None
    lines = [number for number, line in enumerate(text.split("\n"), start=1) if line.strip() == "[[allow]]"]
    if not isinstance(entries, list) or len(entries) != len(lines):
        raise AllowanceError(f"{shown}: must hold `[[allow]]` entries and nothing else.")
    return [_read(entry, Origin(shown, line)) for entry, line in zip(entries, lines, strict=True)]


def _read(entry: dict[str, object], origin: Origin) -> Allowance:
    wrong = [
        key for key in {**entry, **dict.fromkeys(_KEYS)} if key not in _KEYS or not isinstance(entry.get(key), str)
    ]
    if wrong:
        raise AllowanceError(
            f"{origin}: an entry needs {', '.join(_KEYS)}, all strings, and nothing else; see `{wrong[0]}`."
        )
    allowance = Allowance(origin=origin, **{key: str(entry[key]) for key in _KEYS})
    if allowance.rule not in {rule.id for rule in all_rules()}:
        raise AllowanceError(f"{origin}: there is no rule `{allowance.rule}`. A finding prints its rule.")
    if not allowance.reason.strip():
        raise AllowanceError(f"{origin}: `reason` is empty. Say why users have to live with this break.")
    try:
        allowance.has_ended(date.min, "0")
    except (ValueError, InvalidVersion):
        raise AllowanceError(
            f"{origin}: `until` is a day (2030-12-31) or a version (0.4.0), got {allowance.until!r}."
        ) from None
    return allowance


def apply(
    findings: Sequence[Finding], allowances: Sequence[Allowance], today: date, version: str | None
) -> tuple[list[Finding], list[Finding], list[Problem]]:
    """The findings that stand, those that are allowed, and the entries that must go: ended or without use."""
    allowed: list[Finding] = []
    problems: list[Problem] = []
    for allowance in allowances:
        covered = [finding for finding in findings if allowance.covers(finding)]
        if allowance.has_ended(today, version):
            problems.append(
                Problem(allowance.origin, f"the exception for `{allowance.subject}` ended: until {allowance.until}.")
            )
        elif not covered:
            message = f"no finding `{allowance.rule}` about `{allowance.subject}` needs this exception. Delete it."
            problems.append(Problem(allowance.origin, message))
        else:
            allowed += covered
    return [finding for finding in findings if finding not in allowed], allowed, problems
