"""Facts of the distribution: supported Python, dependencies and their ranges, extras, console scripts."""

import configparser
import contextlib
import email.parser
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from .facts import Fact, Origin, Problem, make_fact


class Distribution:
    """The `[project]` table of a pyproject.toml, or what the METADATA of a wheel says of it."""

    def __init__(self, file: Path, shown: str, ignore_extras: tuple[str, ...] = ()) -> None:
        self.shown = shown
        self.problems: list[Problem] = []
        self.lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
        if file.suffix == ".toml":
            project = tomllib.loads("\n".join(self.lines)).get("project")
        else:
            project = read_metadata("\n".join(self.lines), file.with_name("entry_points.txt"))
        self.project: dict[str, Any] = project if isinstance(project, dict) else {}
        self.name = str(self.project.get("name", ""))
        self.ignore_extras = ignore_extras

    @property
    def version(self) -> str | None:
        version = self.project.get("version")
        return version if isinstance(version, str) else None

    def facts(self) -> Iterator[Fact]:
        if not self.name:
            return
        if isinstance(python := self.project.get("requires-python"), str):
            try:
                yield make_fact(
                    "python", self.name, "", self._origin("requires-python"), **_range(SpecifierSet(python))
                )
            except InvalidSpecifier as error:
                self.problems.append(Problem(Origin(self.shown), f"`requires-python` cannot be read: {error}"))
        yield from self._requirements(self.name, self.project.get("dependencies"))
        extras = self.project.get("optional-dependencies")
        for extra, requirements in extras.items() if isinstance(extras, dict) else ():
            if extra not in self.ignore_extras:
                name = canonicalize_name(extra)  # `llm_judge` and `llm-judge` are the same to installers
                yield make_fact("extra", self.name, name, self._origin(f"{extra} = "))
                yield from self._requirements(f"{self.name}[{name}]", requirements)
        scripts = self.project.get("scripts")
        for script in scripts if isinstance(scripts, dict) else ():
            yield make_fact("script", self.name, script, self._origin(f"{script} = "))

    def _requirements(self, owner: str, requirements: Any) -> Iterator[Fact]:
        for text in requirements if isinstance(requirements, list) else ():
            try:
                requirement = Requirement(str(text))
            except InvalidRequirement as error:
                self.problems.append(Problem(self._origin(f'"{text}"'), f"{text!r} is no requirement: {error}"))
                continue
            name = canonicalize_name(requirement.name)
            if name == canonicalize_name(self.name):
                continue  # an extra made of other extras
            label = f"{name}[{','.join(sorted(requirement.extras))}]" if requirement.extras else name
            marker = str(requirement.marker) if requirement.marker else None
            origin = self._origin(f'"{text}"')
            yield make_fact("dependency", owner, label, origin, marker=marker, **_range(requirement.specifier))

    def _origin(self, needle: str) -> Origin:
        """The first line that contains the text, which is exact enough for a table written one entry a line."""
        needle = needle if self.shown.endswith(".toml") else needle.strip('"').partition(";")[0]
        return Origin(self.shown, next((n for n, line in enumerate(self.lines, start=1) if needle in line), None))


def read_metadata(text: str, entry_points: Path) -> dict[str, Any]:
    """The core metadata of a wheel or an installed package in the form of a `[project]` table."""
    message = email.parser.HeaderParser().parsestr(text)
    extras: dict[str, list[str]] = {str(extra): [] for extra in message.get_all("Provides-Extra", [])}
    dependencies: list[str] = []
    for requirement in map(str, message.get_all("Requires-Dist", [])):
        bare, _, marker = requirement.partition(";")
        asked = {canonicalize_name(name) for name in re.findall(r"""extra\s*==\s*["']([^"']+)""", marker)}
        named = [extra for extra in extras if canonicalize_name(extra) in asked]
        rest = re.sub(r"""\(?\s*(and\s+)?extra\s*==\s*["'][\w.-]+["']\s*\)?""", "", marker).strip() if named else marker
        plain = f"{bare.strip()}; {rest.strip()}" if rest.strip() else bare.strip()
        for target in [extras[extra] for extra in named] or [dependencies]:
            target.append(plain)
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=False)
    with contextlib.suppress(OSError, ValueError, configparser.Error):
        parser.read_string(entry_points.read_text(encoding="utf-8"))
    found: dict[str, Any] = {"dependencies": dependencies, "optional-dependencies": extras}
    for key, header in (("name", "Name"), ("version", "Version"), ("requires-python", "Requires-Python")):
        found |= {key: str(message[header])} if message[header] else {}
    return found | {"scripts": dict(parser["console_scripts"]) if parser.has_section("console_scripts") else {}}


def _range(specifiers: SpecifierSet) -> dict[str, str]:
    """The lowest allowed version, the upper end as written, and whatever else is asked for."""
    floors = [s for s in specifiers if s.operator in (">=", ">", "==", "~=", "===")]
    ceilings = [s for s in specifiers if s.operator in ("<", "<=", "==", "===")]
    found: dict[str, str] = {}
    if floors:
        found["floor"] = str(max(floors, key=lambda s: _version(s.version)).version)
    if ceilings:
        lowest = min(ceilings, key=lambda s: (_version(s.version), s.operator))
        found["ceiling"] = ("<=" if lowest.operator.startswith("=") else lowest.operator) + lowest.version
    excluded = sorted(s.version for s in specifiers if s.operator == "!=")
    return found | ({"excluded": ",".join(excluded)} if excluded else {})


def _version(text: str) -> Version:
    try:
        return Version(text.removesuffix(".*"))
    except InvalidVersion:  # `===` compares any text
        return Version("0")
