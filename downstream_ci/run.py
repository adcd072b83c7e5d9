"""Test downstream projects against this tree and against the last frozen release, and report the difference.

    api_snapshots/X.Y.Z.txt, tag vX.Y.Z -> the release's own lib/ in a temporary directory
    projects.toml -> the tests of each project, run with the one lib/ and then with the other first on PYTHONPATH
    two JUnit reports -> regressions (pass with the release, not with the tree): exit status 1; all else is information

The last line is `DOWNSTREAM {json}`.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import math
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 900
"""Seconds after which the tests of a project are given up."""
TOLERANCE = 1e-3
"""Relative difference up to which two runs of a project count as having the same numbers."""


class NotComparableError(Exception):
    """The tests of a project could not be run at all."""


@dataclass(frozen=True)
class Project:
    """A line of projects.toml."""

    name: str
    path: str
    pytest: tuple[str, ...]
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class Library:
    """A version of Sternpost: the directory that holds the package."""

    label: str
    directory: Path


@dataclass
class Outcome:
    """What the tests of a project said about one version."""

    results: dict[str, str] = field(default_factory=dict)
    """Test -> passed, failed, error or skipped."""
    reasons: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    """What tests recorded by `record_property`, as `test: property`."""

    def passed(self) -> set[str]:
        return {test for test, result in self.results.items() if result == "passed"}


# ---- The last release


def frozen_versions(root: Path) -> list[Version]:
    """The versions of api_snapshots/, newest first."""
    found = []
    for path in (root / "api_snapshots").glob("*.txt"):
        try:
            found.append(Version(path.stem))
        except InvalidVersion:  # next.txt
            continue
    return sorted(found, reverse=True)


def git(root: Path, *arguments: str) -> bytes | None:
    """What git prints, or None if there is no git, no repository or no such object."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def export_last_release(root: Path, into: Path) -> tuple[Library | None, str]:
    """The code of the newest frozen release whose tag is here, and a sentence that says which one, or why none."""
    versions = frozen_versions(root)
    if not versions:
        return None, "There is no earlier release yet: no version is frozen in api_snapshots/. Only the tree is tested."
    untagged = []
    for version in versions:
        archive = git(root, "archive", "--format=tar", f"v{version}", "lib")
        if archive is None:
            untagged.append(f"v{version}")
            continue
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(into, filter="data")
        note = f" ({', '.join(untagged)} is frozen but has no tag here)" if untagged else ""
        return Library(f"release {version}", into / "lib"), f"Comparing with release {version}{note}."
    return None, (
        f"There is no earlier release yet: {untagged[0]} is frozen in api_snapshots/, but this checkout has no tag of "
        "that name (if there is one, `git fetch --tags` brings it). Only the tree is tested."
    )


# ---- Running a project


def read_projects(file: Path) -> list[Project]:
    tables = tomllib.loads(file.read_text())["project"]
    return [Project(one["name"], one["path"], tuple(one["pytest"]), tuple(one.get("requires", ()))) for one in tables]


def check_pins(project: Project) -> None:
    """Raise if the environment has not exactly what the project is pinned to."""
    for pin in project.requires:
        requirement = Requirement(pin)
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            raise NotComparableError(f"it is pinned to {pin}, which is not installed here") from None
        if not requirement.specifier.contains(installed, prereleases=True):
            raise NotComparableError(f"it is pinned to {pin}, but {installed} is installed here")


def environment(library: Library) -> dict[str, str]:
    """Variables of the tests: this version of Sternpost before any installed one, no network, one thread."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
    return kept | {
        "PYTHONPATH": str(library.directory),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # a project names those that it needs: `-p ...`
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
    }


def check_library(library: Library) -> None:
    """Raise if the tests would import another Sternpost than this one."""
    command = [sys.executable, "-c", "import sternpost; print(sternpost.__file__)"]
    done = subprocess.run(command, env=environment(library), cwd=library.directory, capture_output=True, text=True)
    if done.returncode or not Path(done.stdout.strip()).is_relative_to(library.directory):
        raise NotComparableError(f"{library.label} is not what gets imported: {(done.stdout + done.stderr).strip()}")


def run_tests(project: Project, library: Library, base: Path) -> Outcome:
    """Run the tests of a project with one version of Sternpost."""
    check_library(library)
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}"]
        try:
            done = subprocess.run(
                [*command, *project.pytest], cwd=base / project.path, env=environment(library), timeout=TIMEOUT,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NotComparableError(f"its tests took longer than {TIMEOUT} s with {library.label}") from None
        if not report.exists():
            end = "\n".join(done.stdout.splitlines()[-15:])
            raise NotComparableError(f"pytest ended with status {done.returncode} and no report:\n{end}")
        return read_report(report)


def read_report(report: Path) -> Outcome:
    """The outcome that pytest wrote down as JUnit XML."""
    outcome = Outcome()
    for case in ElementTree.parse(report).iter("testcase"):
        test = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        bad = [part for part in case if part.tag in ("failure", "error", "skipped")]
        result = {"failure": "failed"}.get(bad[0].tag, bad[0].tag) if bad else "passed"
        if bad or test not in outcome.results:  # an error after the test comes as a second entry
            outcome.results[test] = result
        if bad:
            outcome.reasons[test] = " ".join((bad[0].get("message") or "").split())[:300]
        for one in case.iter("property"):
            try:
                outcome.numbers[f"{test}: {one.get('name')}"] = float(one.get("value", ""))
            except ValueError:
                continue
    return outcome


# ---- The difference


def compare(tree: Outcome, release: Outcome | None) -> dict[str, Any]:
    """What differs, as lists of tests. Without a release every test that does not pass is one that fails."""
    failing = {test for test, result in tree.results.items() if result in ("failed", "error")}
    if release is None:
        return {"tree": summary(tree), "failing": sorted(failing)}
    changed = {
        name: [release.numbers[name], number]
        for name, number in sorted(tree.numbers.items())
        if name in release.numbers and not math.isclose(number, release.numbers[name], rel_tol=TOLERANCE)
    }
    return {
        "tree": summary(tree),
        "release": summary(release),
        "regressions": sorted(release.passed() - tree.passed()),
        "repaired": sorted(tree.passed() - release.passed()),
        "failing_with_both": sorted(failing - release.passed()),
        "changed_numbers": changed,
    }


def summary(outcome: Outcome) -> dict[str, int]:
    counts: dict[str, int] = {}
    for result in outcome.results.values():
        counts[result] = counts.get(result, 0) + 1
    return counts


def is_good(difference: dict[str, Any]) -> bool:
    """Nothing has become worse, and something was tested at all."""
    if "error" in difference or difference.get("regressions") or difference.get("failing"):
        return False
    return "passed" in difference["tree"] and "passed" in difference.get("release", {"passed": 1})


def describe(name: str, difference: dict[str, Any], tree: Outcome | None) -> str:
    """The difference as text."""
    if "error" in difference:
        return f"{name}: cannot be tested: {difference['error']}"
    counts = [f"{label} {words(difference[label])}" for label in ("tree", "release") if label in difference]
    lines = [f"{name}: {'; '.join(counts)}"]
    for key, title in (
        ("regressions", "REGRESSION, passes with the release"),
        ("failing", "FAILS"),
        ("failing_with_both", "fails with both"),
        ("repaired", "passes now, not with the release"),
    ):
        for test in difference.get(key, ()):
            reason = tree.reasons.get(test, "") if tree else ""
            gone = tree is not None and test not in tree.results
            lines.append(f"  {title}: {test}{' (did not run)' if gone else ''}{f': {reason}' if reason else ''}")
    for number, (before, after) in difference.get("changed_numbers", {}).items():
        lines.append(f"  another number, {number}: {before:.6g} with the release, {after:.6g} now")
    if not is_good(difference) and len(lines) == 1:
        lines.append("  nothing was tested: no test passes with one of the versions")
    return "\n".join(lines)


def words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {result}" for result, count in sorted(counts.items())) or "no tests"


# ---- The whole


def try_project(project: Project, tree: Library, release: Library | None, base: Path) -> dict[str, Any]:
    """Test one project with both versions, print the difference and return it."""
    now = None
    try:
        check_pins(project)
        now = run_tests(project, tree, base)
        difference = compare(now, run_tests(project, release, base) if release else None)
    except NotComparableError as error:
        difference = {"error": str(error)}
    print(describe(project.name, difference, now), flush=True)
    return difference


def main() -> int:
    base = ROOT / "downstream_ci"
    with tempfile.TemporaryDirectory() as scratch:
        tree = Library("the tree", ROOT / "lib")
        release, sentence = export_last_release(ROOT, Path(scratch).resolve())
        print(sentence, flush=True)
        projects = read_projects(base / "projects.toml")
        differences = {project.name: try_project(project, tree, release, base) for project in projects}
    good = all(is_good(difference) for difference in differences.values())
    verdict = {
        "release": release and release.label.removeprefix("release "),
        "projects": differences,
        "verdict": "passed" if good else "failed",
    }
    print(f"DOWNSTREAM {json.dumps(verdict)}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
