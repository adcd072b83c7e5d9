"""What a change says about itself: fragments in `changelog.d/` and the version, against the release that it needs."""

import re
from pathlib import Path

from packaging.version import InvalidVersion, Version

from .facts import Problem, Snapshot
from .rules import Bump

KINDS: dict[str, Bump] = {
    "breaking": "major",
    "deprecated": "minor",
    "added": "minor",
    "changed": "patch",
    "fixed": "patch",
}
"""Kind of a fragment, `<topic>.<kind>.md` -> the release that it announces."""

_RANKS: dict[str, int] = {"patch": 0, "minor": 1, "major": 2}


def announced(folder: Path) -> Bump | None:
    """The highest release that the fragments announce; None if there are none."""
    found = [match[1] for file in folder.glob("*.md") if (match := re.fullmatch(r".+\.(\w+)\.md", file.name))]
    bumps = [KINDS[kind] for kind in found if kind in KINDS]
    return max(bumps, key=lambda bump: _RANKS[bump], default=None)


def asked(baseline: str, version: str) -> Bump | None:
    """The release that goes from one version to another; None if it is none. Before 1.0 the second number is major."""
    old, new = Version(baseline), Version(version)
    if new <= old:
        return None
    before, after = (old.major, old.minor), (new.major, new.minor)
    if after[0] != before[0] or (before[0] == 0 and after != before):
        return "major"
    return "minor" if after != before or (before[0] == 0) else "patch"


def overdue(snapshot: Snapshot, version: str) -> list[Problem]:
    """Deprecations that should be gone by a version."""
    found = []
    for fact in snapshot.kind("deprecation"):
        until = fact.get("until")
        try:
            if until is not None and fact.origin is not None and Version(until) <= Version(version):
                message = f"`{fact.path}` was to go by {until}. Remove it, or move its end."
                found.append(Problem(fact.origin, message))
        except InvalidVersion:
            continue
    return found


def shortcomings(folder: Path, shown: str, needed: Bump) -> list[str]:
    """Where the fragments say less of a change than it is. A project without the folder has another way."""
    told = announced(folder) if folder.is_dir() else "major"
    if needed == "patch" or (told is not None and _RANKS[told] >= _RANKS[needed]):
        return []
    kinds = " or ".join(f"`{kind}`" for kind, bump in KINDS.items() if bump == needed)
    return [f"the changes need a {needed} release, and no fragment in {shown} says so: add one of {kinds}."]


def too_low(baseline: str, version: str | None, needed: Bump) -> list[str]:
    """Whether the version stands for less of a change than it is; one that is not yet raised asks for nothing."""
    release = asked(baseline, version) if version is not None else None
    if release is None or _RANKS[release] >= _RANKS[needed]:
        return []
    return [f"{version} is a {release} release after {baseline}; the changes need a {needed} one."]
