"""`guard scan --range`: the versions of the package that a project works with, against those that it declares."""

import gc
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from ..settings import SettingsError
from .collect import Collection
from .collector import keeping_what_is_there, paused
from .hits import Hit
from .judge import Judge
from .library import Library

MAX_PATH = 250
"""Longer texts are lists: no system takes them for a path."""
COLLECTED = 3
"""Versions whose trees are kept before they are thrown away together."""


@dataclass(frozen=True)
class Verdict:
    """One version: what breaks in the project there, by cause."""

    version: str
    errors: tuple[Hit, ...]
    warnings: int
    declared: bool | None

    @property
    def works(self) -> bool:
        return not self.errors


@dataclass
class Survey:
    """A project over many versions, oldest first. `reference` is the one that it is known to work with."""

    project: str
    package: str
    reference: str
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def works(self) -> list[str]:
        return [verdict.version for verdict in self.verdicts if verdict.works]

    @property
    def causes(self) -> dict[str, list[tuple[str, Hit]]]:
        """Each cause with the versions in which it breaks something."""
        found: dict[str, list[tuple[str, Hit]]] = {}
        for verdict in self.verdicts:
            for hit in verdict.errors:
                known = found.setdefault(hit.cause, [])
                if not known or known[-1][0] != verdict.version:
                    known.append((verdict.version, hit))
        return found


def survey(collection: Collection, reference: Library, others: Iterable[Library], project: str) -> Survey:
    """Each version against the reference: a contact that the reference does not fulfil is held against nobody."""
    result = Survey(project, collection.package, reference.version or reference.shown)
    declared = _declared(collection)
    with paused(), keeping_what_is_there():
        for number, library in enumerate(others, start=1):
            hits = Judge(collection, reference, library).hits
            errors = tuple(hit for hit in hits if hit.level == "error")
            warnings = sum(hit.level == "warning" for hit in hits)
            version = library.version or library.shown
            result.verdicts.append(Verdict(version, errors, warnings, _allows(declared, library.version)))
            if number % COLLECTED == 0:
                del library, hits
                gc.collect()
    result.verdicts.sort(key=lambda verdict: _order(verdict.version))
    return result


def _declared(collection: Collection) -> SpecifierSet | None:
    """What the project's metadata asks for: of several, the first in the order of files."""
    for contact in collection.contacts:
        if contact.kind == "requirement":
            try:
                return SpecifierSet(contact.name)
            except InvalidSpecifier:
                continue
    return None


def _allows(declared: SpecifierSet | None, version: str | None) -> bool | None:
    if declared is None or version is None:
        return None
    try:
        return declared.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return None


def _order(version: str) -> tuple[int, Version]:
    try:
        return 0, Version(version)
    except InvalidVersion:
        return 1, Version("0")


def listed(text: str, package: str) -> list[str]:
    """The versions that `--range` names: a folder of snapshots or archives, a list, or a condition on the registry's.

    Raises:
        SettingsError: it names none.
    """
    folder = Path(text)
    if len(text) < MAX_PATH and folder.is_dir():
        frozen = [str(file) for file in sorted(folder.glob("*.txt")) if file.stem[:1].isdigit()]
        archives = [str(file) for file in sorted(folder.glob(f"{package}-*.whl"))]
        if frozen or archives:
            return frozen or archives
        raise SettingsError(f"{folder} holds neither snapshots of releases nor wheels of `{package}`.")
    if text[:1] in "<>=!~":
        return _on_registry(text, package)
    return [part.strip() for part in text.split(",") if part.strip()]


def _on_registry(text: str, package: str) -> list[str]:
    try:
        wanted = SpecifierSet(text)
    except InvalidSpecifier:
        raise SettingsError(f"`--range {text}` is no condition on versions, such as `>=1.0,<2`.") from None
    command = (sys.executable, "-m", "pip", "index", "versions", package, "--disable-pip-version-check")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    match = re.search(r"^Available versions: (.*)$", done.stdout, re.M)
    if match is None:
        raise SettingsError(f"pip does not list the versions of `{package}`: name them, `--range 1.0,1.1`.")
    found = [version for version in match[1].split(", ") if wanted.contains(version)]
    return [f"{package}=={version}" for version in sorted(found, key=Version)]


def as_text(result: Survey) -> str:
    """A line for each version, then each cause with the versions that it breaks."""
    width = max((len(verdict.version) for verdict in result.verdicts), default=0)
    lines = []
    for verdict in result.verdicts:
        state = "works" if verdict.works else f"breaks  {len(verdict.errors)} lines"
        promise = {True: "declared", False: "not declared", None: ""}[verdict.declared]
        lines.append(f"  {verdict.version:<{width}}  {promise:<12}  {state}".rstrip())
    for cause, where in result.causes.items():
        first = where[0][1]
        lines += ["", f"{cause}: {first.says}", f"  in    {_spans([v for v, _ in where], result)}"]
        lines.append(f"  {first.place}")
    return "\n".join([*lines, "", _summary(result)]) + "\n"


def _spans(versions: list[str], result: Survey) -> str:
    """`1.0 to 1.3, 1.5`: neighbours in the survey are drawn together."""
    order = [verdict.version for verdict in result.verdicts]
    spans: list[list[str]] = []
    for version in versions:
        if spans and order.index(version) == order.index(spans[-1][-1]) + 1:
            spans[-1].append(version)
        else:
            spans.append([version])
    return ", ".join(span[0] if len(span) == 1 else f"{span[0]} to {span[-1]}" for span in spans)


def _summary(result: Survey) -> str:
    works = _spans(result.works, result) or "none of them"
    broken = [v.version for v in result.verdicts if v.declared and not v.works]
    more = [v.version for v in result.verdicts if v.declared is False and v.works]
    text = f"guard scan: {result.project} works with {result.package} {works} (as it does with {result.reference})"
    text += f"; declared but broken: {_spans(broken, result)}" if broken else ""
    return text + (f"; works but not declared: {_spans(more, result)}" if more else "")


def as_json(result: Survey) -> str:
    """The same as data."""
    return json.dumps(
        {
            "format": 1,
            "project": result.project,
            "package": result.package,
            "from": result.reference,
            "versions": [
                {
                    "version": verdict.version,
                    "works": verdict.works,
                    "declared": verdict.declared,
                    "warnings": verdict.warnings,
                    "errors": [
                        {"rule": h.rule, "file": h.contact.place.file, "line": h.at, "symbol": h.symbol}
                        for h in verdict.errors
                    ],
                }
                for verdict in result.verdicts
            ],
        },
        indent=2,
    )


def as_markdown(result: Survey) -> str:
    """A table of the versions, and each cause with those that it breaks."""
    declared = {True: "yes", False: "no", None: ""}
    parts = [f"# {result.project} with {result.package}", "", _summary(result), ""]
    parts += ["| version | declared | works | lines that break |", "|---|---|---|---|"]
    for verdict in result.verdicts:
        works = "yes" if verdict.works else "no"
        parts.append(f"| {verdict.version} | {declared[verdict.declared]} | {works} | {len(verdict.errors)} |")
    parts += [""] if result.causes else []
    for where in result.causes.values():
        hit = where[0][1]
        parts.append(f"- **{hit.rule}** {hit.says} {_spans([version for version, _ in where], result)}: `{hit.place}`")
    return "\n".join(parts) + "\n"


FORMATS: dict[str, Callable[[Survey], str]] = {"text": as_text, "json": as_json, "markdown": as_markdown}
