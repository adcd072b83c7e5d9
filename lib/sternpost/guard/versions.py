"""`guard diff OLD NEW`: any two versions of a package, each by whatever name people have for it (`packages.py`)."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from .check import Verdict
from .diff import compare
from .distribution import Distribution
from .extract import extract
from .facts import Snapshot
from .findings import judge
from .packages import default_cache, locate
from .settings import Settings
from .snapshot import parse, render

_JUDGING = {
    *("allowances", "callables", "changes", "check", "cli", "diff", "findings", "flat", "fragments", "lookalikes"),
    *("objects", "promotion_ledger", "promotions", "renames", "report", "report_hosts", "report_words", "rules"),
    *("snippets", "snippets_data", "twins", "twins_report", "versions", "witness"),
}
"""Modules that compare and tell: they decide nothing about the facts."""


@dataclass(frozen=True)
class Version:
    """One side of a comparison. `number` is None where nothing says which version it is."""

    spec: str
    snapshot: Snapshot
    number: str | None = None


def read_version(spec: str, cache: Path | None = None) -> Version:
    """The facts of a package or of a snapshot file. Those of a release are read once and kept.

    Raises:
        SettingsError: there is no such package.
        SnapshotError: the file is no snapshot.
    """
    if spec.endswith(".txt") and Path(spec).is_file():
        number = Path(spec).stem if Path(spec).stem[0].isdigit() else None
        return Version(spec, parse(Path(spec).read_text(encoding="utf-8"), spec), number)
    cache = cache or default_cache()
    settings = locate(spec, cache)
    kept = cache / "snapshots" / f"{settings.root.name}-{_edition()}.txt"
    unpacked = settings.root.is_relative_to(cache.resolve()) or settings.root.is_relative_to(cache)
    if unpacked and kept.is_file():
        return Version(spec, parse(kept.read_text(encoding="utf-8"), kept.name), _number(settings))
    snapshot = extract(settings)
    if unpacked and not snapshot.problems:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(render(snapshot.facts), encoding="utf-8", newline="\n")
    return Version(spec, snapshot, _number(settings))


def diff(old: Version, new: Version) -> Verdict:
    """What changed from one version to the other, judged."""
    findings = judge(compare(old.snapshot, new.snapshot, new.number))
    return Verdict(baseline=old.spec, findings=tuple(findings), problems=new.snapshot.problems)


def _number(settings: Settings) -> str | None:
    file = settings.pyproject or settings.metadata
    return Distribution(file, settings.shown(file)).version if file is not None else None


def _edition() -> str:
    """Of the part of the guard that reads packages: what another edition of it has read is read again."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for file in (*sorted(here.glob("*.py")), *sorted(here.glob("foreign/*.txt"))):
        if file.stem not in _JUDGING:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
