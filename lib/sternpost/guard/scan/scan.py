"""`guard scan PROJECT`: the parts put together."""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from packaging.version import InvalidVersion, Version

from ..distribution import Distribution
from ..facts import Problem
from ..packages import locate
from ..settings import Settings, SettingsError
from ..snapshot import parse
from .collect import Collection, collect
from .collector import paused
from .files import Folder, SingleFile, open_files
from .hits import Hit
from .judge import Judge
from .library import Library
from .recorded import Recorded
from .suppress import sort_out, suppressions

OK, BROKEN, UNREADABLE = 0, 1, 2


@dataclass
class Scan:
    """What a scan found."""

    project: str
    package: str
    old: Library
    new: Library
    collection: Collection
    hits: list[Hit] = field(default_factory=list)
    accepted: list[tuple[Hit, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[Problem]:
        return self.collection.problems

    @property
    def levels(self) -> Counter[str]:
        return Counter(hit.level for hit in self.hits)

    @property
    def causes(self) -> dict[str, list[Hit]]:
        """Hits by what causes them: errors first, then by their first line."""
        found: dict[str, list[Hit]] = {}
        order = {"error": 0, "warning": 1, "note": 2}
        for hit in sorted(self.hits, key=lambda hit: order[hit.level]):
            found.setdefault(f"{hit.level} {hit.cause}", []).append(hit)
        return found

    @property
    def code(self) -> int:
        return BROKEN if any(hit.level == "error" for hit in self.hits) else OK


@paused()
def read_project(path: Path, package: str) -> Collection:
    """The contacts of the project at a path.

    Raises:
        ValueError: there is no project.
    """
    if not path.exists():
        raise SettingsError(f"`{path}` does not exist. Give the folder, wheel or sdist of the project to scan.")
    return collect(open_files(path), package)


def read_library(spec: str, package: str, cache: Path | None = None) -> Library:
    """One version of the package: a snapshot, a path, an archive, `name==version`, a bare version, an installed name.

    Raises:
        SettingsError, SnapshotError: there is no such version.
    """
    if spec.endswith(".txt") and Path(spec).is_file():
        snapshot = parse(Path(spec).read_text(encoding="utf-8"), spec)
        version = Path(spec).stem if _is_version(Path(spec).stem) else None
        return Library(Recorded(snapshot, package, spec), package, version, spec, partial=True)
    if _is_version(spec) and not Path(spec).exists():
        spec = f"{package}=={spec}"
    settings = locate(spec, cache)
    if settings.name != package:
        raise SettingsError(f"`{spec}` is the package `{settings.name}`, not `{package}`. Name it with `--package`.")
    files = SingleFile(settings.package) if settings.package.is_file() else _Package(settings)
    version = _version(settings)
    return Library(files, package, version, f"{package} {version}" if version else spec)


class _Package(Folder):
    """The package alone, by paths that begin with its name."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.package.parent)
        self.package = settings.package

    @cached_property
    def paths(self) -> list[str]:
        return [f"{self.package.name}/{path}" for path in Folder(self.package).paths]


def _version(settings: Settings) -> str | None:
    """The version by the metadata, or else by a literal `__version__`."""
    file = settings.pyproject or settings.metadata
    found = Distribution(file, settings.shown(file)).version if file is not None else None
    if found is None and (settings.package / "__init__.py").is_file():
        text = (settings.package / "__init__.py").read_text(encoding="utf-8", errors="replace")
        match = re.search(r"^__version__\s*=\s*[\"']([^\"']+)", text, re.M)
        found = match[1] if match else None
    return found


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


@paused()
def scan(collection: Collection, old: Library, new: Library, project: str) -> Scan:
    """What the new version does to a project that works with the old one."""
    hits = Judge(collection, old, new).hits
    comments = suppressions(collection, collection.walked)
    standing, accepted, complaints = sort_out(hits, comments)
    return Scan(project, collection.package, old, new, collection, standing, accepted, complaints)
