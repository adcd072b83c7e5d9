"""`guard scan PROJECT`: the parts put together."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from packaging.version import InvalidVersion, Version

from ..distribution import Distribution
from ..extract import extract
from ..facts import INTERNAL, Problem
from ..packages import locate
from ..settings import Settings, SettingsError
from ..snapshot import parse
from .codebase import External
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

    @cached_property
    def problems(self) -> list[Problem]:
        """What could not be read of the project, and of both versions as far as the project led there."""
        found = list(self.collection.problems)
        for library in (self.old, self.new):
            found += [replace(p, message=f"{p.message} ({library.shown})") for p in library.codebase.problems]
        return list(dict.fromkeys(found))

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
        if any(hit.level == "error" for hit in self.hits):
            return BROKEN
        blind = bool(self.collection.problems) and not self.collection.walked
        return UNREADABLE if blind or any(map(self._leads_into_unreadable, (self.old, self.new))) else OK

    def _leads_into_unreadable(self, library: Library) -> bool:
        """Whether a contact is about something in a file that could not be read, so that nothing is known of it."""
        lost = tuple(f"{module}." for module in library.codebase.unreadable)
        for path in {contact.path for contact in self.collection.contacts} if lost else ():
            outside = (e.path for e in library.find(path) if isinstance(e, External))
            if any(f"{found}.".startswith(lost) for found in outside):
                return True
        return False


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
    """One version of the package from its sources: a path, an archive, `name==version`, a version, an installed name.

    Raises:
        SettingsError: there is no such version.
    """
    settings = _settings(spec, package, cache)
    files = SingleFile(settings.package) if settings.package.is_file() else _Package(settings)
    version = _version(settings)
    return Library(files, package, version, f"{package} {version}" if version else spec)


def read_libraries(specs: Iterable[str], package: str, cache: Path | None = None) -> Iterator[Library]:
    """Versions one by one. If any is a snapshot, all are read as such: then they say the same kinds of things.

    Raises:
        SettingsError, SnapshotError: there is no such version.
    """
    specs = list(specs)
    frozen = {spec: parse(Path(spec).read_text(encoding="utf-8"), spec) for spec in specs if _is_snapshot(spec)}
    internal = all(any(fact.get("tier") == INTERNAL for fact in snapshot.facts) for snapshot in frozen.values())
    for spec in specs:
        if not frozen:
            yield read_library(spec, package, cache)
        elif spec in frozen:
            version = Path(spec).stem if _is_version(Path(spec).stem) else None
            yield Library(Recorded(frozen[spec], package, spec), package, version, spec)
        else:
            settings = _settings(spec, package, cache)
            version, facts = _version(settings), extract(replace(settings, internal=internal))
            shown = f"{package} {version}" if version else spec
            yield Library(Recorded(facts, package, shown), package, version, shown)


def _is_snapshot(spec: str) -> bool:
    return spec.endswith(".txt") and Path(spec).is_file()


def _settings(spec: str, package: str, cache: Path | None) -> Settings:
    if _is_version(spec) and not Path(spec).exists():
        spec = f"{package}=={spec}"
    settings = locate(spec, cache, package)
    if settings.name != package:
        raise SettingsError(f"`{spec}` is the package `{settings.name}`, not `{package}`. Name it with `--package`.")
    return settings


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
    source = settings.package if settings.package.is_file() else settings.package / "__init__.py"
    if found is None and source.is_file():
        text = source.read_text(encoding="utf-8", errors="replace")
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
    comments = suppressions(collection, collection.walked | {hit.contact.place.file for hit in hits})
    standing, accepted, complaints = sort_out(hits, comments)
    return Scan(project, collection.package, old, new, collection, standing, accepted, complaints)
