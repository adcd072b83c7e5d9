"""`guard check`: the current tree against the newest frozen snapshot, as one verdict."""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from packaging.version import InvalidVersion, Version

from .allowances import apply, read_allowances
from .diff import compare
from .distribution import Distribution
from .extract import extract
from .facts import Problem, Snapshot
from .findings import Finding, judge
from .fragments import overdue, shortcomings, too_low
from .rules import Bump
from .settings import Settings
from .snapshot import parse, render
from .tombstones import unburied

OK, BROKEN, UNREADABLE = 0, 1, 2


class GuardError(ValueError):
    """The check cannot be made."""


@dataclass(frozen=True)
class Verdict:
    """What the check found."""

    baseline: str
    findings: tuple[Finding, ...]
    """Everything that stands, breaks first, then what is new or was never promised."""
    allowed: tuple[Finding, ...] = ()
    stale: str | None = None
    """How to refresh `next.txt`, if it does not match the tree."""
    entries: tuple[Problem, ...] = ()
    """Entries of `except.toml` that must go."""
    problems: tuple[Problem, ...] = ()
    """Files that could not be read."""
    release: tuple[str, ...] = ()
    """Where changelog fragments, the version or the tombstones say less than the changes are."""
    overdue: tuple[Problem, ...] = ()
    """What was announced to go by the version that the package has now, and is still there."""

    @property
    def breaks(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.blocking)

    @property
    def bump(self) -> Bump:
        """The release that the changes need, by what was promised."""
        promised = [f for f in (*self.findings, *self.allowed) if f.blocking or f.bump != "major"]
        bumps = {finding.bump for finding in promised}
        return "major" if "major" in bumps else "minor" if "minor" in bumps else "patch"

    @property
    def code(self) -> int:
        """The exit code."""
        if self.problems:
            return UNREADABLE
        return BROKEN if self.breaks or self.stale or self.entries or self.release or self.overdue else OK


def check(settings: Settings, today: date | None = None, asked: str | None = None) -> Verdict:
    """Compare the tree with the newest frozen snapshot, to be released as `asked`, or as pyproject.toml says.

    Raises:
        GuardError: nothing is frozen yet.
        SnapshotError: the frozen snapshot cannot be read.
        AllowanceError: the exceptions cannot be read.
    """
    baseline = newest_frozen(settings.snapshots)
    if baseline is None:
        raise GuardError(
            f"{settings.shown(settings.snapshots)} holds no frozen snapshot to compare with. "
            "`sternpost guard freeze VERSION` makes the first one."
        )
    old, new = load(baseline, settings), extract(settings)
    allowances = read_allowances(settings.exceptions, settings.shown(settings.exceptions))
    version = asked or version_of(settings)
    findings = judge(compare(old, new, version))
    standing, allowed, entries = apply(findings, allowances, today or date.today(), version)
    verdict = Verdict(
        baseline=baseline.stem,
        findings=tuple(standing),
        allowed=tuple(allowed),
        stale=None if new.problems else staleness(settings, new),
        entries=tuple(entries),
        problems=new.problems,
        overdue=tuple(overdue(new, version)) if version is not None else (),
    )
    folder = settings.root / "changelog.d"
    standing_bump = replace(verdict, allowed=()).bump  # what is allowed needs no other version, but has to be told
    release = shortcomings(folder, settings.shown(folder), verdict.bump)
    release += too_low(baseline.stem, version, standing_bump)
    release += unburied(settings, new)
    return replace(verdict, release=tuple(release))


def staleness(settings: Settings, current: Snapshot) -> str | None:
    """What to do if `next.txt` is not the snapshot of this tree; None if it is."""
    shown = settings.shown(settings.next)
    refresh = "Run `sternpost guard snapshot` and commit the result."
    try:
        written = settings.next.read_text(encoding="utf-8")
    except FileNotFoundError:
        return f"{shown} does not exist. {refresh}"
    except (OSError, ValueError) as error:
        return f"{shown} cannot be read ({error}). {refresh}"
    have, want = set(written.splitlines()), set(render(current.facts).splitlines())
    if written == render(current.facts):
        return None
    return f"{shown} is out of date: {len(want - have)} lines are missing, {len(have - want)} no longer hold. {refresh}"


def newest_frozen(snapshots: Path) -> Path | None:
    """The snapshot of the highest version."""
    frozen = []
    for file in snapshots.glob("*.txt") if snapshots.is_dir() else ():
        try:
            frozen.append((Version(file.stem), file))
        except InvalidVersion:
            continue  # next.txt
    return max(frozen, default=(None, None))[1]


def load(file: Path, settings: Settings) -> Snapshot:
    """Read a snapshot from a file.

    Raises:
        SnapshotError: it is none.
    """
    return parse(file.read_text(encoding="utf-8"), settings.shown(file))


def version_of(settings: Settings) -> str | None:
    """The version that the package has now, if its pyproject.toml says so."""
    if settings.pyproject is None:
        return None
    return Distribution(settings.pyproject, settings.shown(settings.pyproject)).version
