"""`guard check --witness`: each break is shown by a consumer that works on the last release and fails on this tree.

This runs code: the package's own, of the last release and of this tree, each in a process of its own, and the snippets
of `snippets.py`. It is for the package under guard alone; what others have written is never run.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .check import GuardError, Verdict, load, newest_frozen
from .distribution import Distribution
from .findings import Finding, Witness
from .settings import Settings, find_settings
from .snippets import snippet

TIMEOUT = 600
"""Seconds for all consumers of one side: most of them go into importing the package."""

_RUN = """
import json, sys, warnings
warnings.simplefilter("ignore")
task = json.load(sys.stdin)
sys.path[:0] = task["paths"]
told = []
for number, snippet in enumerate(task["snippets"]):
    try:
        exec(compile(snippet, f"<consumer {number}>", "exec"), {"__name__": "consumer"})
        told.append(None)
    except BaseException as error:
        told.append(f"{type(error).__name__}: {error}".rstrip(": ").split("\\n")[0][:300])
print("\\nWITNESS " + json.dumps(told))
"""


def with_witnesses(verdict: Verdict, settings: Settings, release: Path | None = None) -> Verdict:
    """The verdict with a witness for each break that one can be written for.

    `release` is the last release, a wheel or a directory; without it, the revision that froze the snapshot.

    Raises:
        GuardError: there is no such release, or a process that ran consumers did not come back.
    """
    breaks = [finding for finding in (*verdict.findings, *verdict.allowed) if finding.blocking]
    if not breaks:
        return verdict
    baseline = newest_frozen(settings.snapshots)
    assert baseline is not None  # there is a verdict
    old = load(baseline, settings)
    snippets = {id(finding): snippet(finding, old, settings.commands or "") for finding in breaks}
    written = [finding for finding in breaks if snippets[id(finding)]]
    codes = [snippets[id(finding)] or "" for finding in written]
    with tempfile.TemporaryDirectory(prefix="guard-witness-") as scratch:
        before = run(codes, _release(settings, baseline, release, Path(scratch) / "release"), Path(scratch) / "old")
        after = run(codes, settings, Path(scratch) / "new")
    told = zip(written, codes, before, after, strict=True)
    found = {id(finding): Witness(code, one, other) for finding, code, one, other in told}

    def seen(findings: Sequence[Finding]) -> tuple[Finding, ...]:
        return tuple(replace(finding, witness=found.get(id(finding))) for finding in findings)

    return replace(verdict, findings=seen(verdict.findings), allowed=seen(verdict.allowed))


def run(snippets: Sequence[str], settings: Settings, scratch: Path, beside: Sequence[Path] = ()) -> list[str | None]:
    """The error of each snippet where `settings.package` is what gets imported; None where it works."""
    scratch.mkdir(parents=True)
    _write_metadata(settings, scratch)
    paths = [str(scratch), str(settings.package.parent), *map(str, beside)]
    task = json.dumps({"paths": paths, "snippets": list(snippets)})
    command = (sys.executable, "-c", _RUN)
    try:
        done = subprocess.run(
            command, input=task, capture_output=True, text=True, cwd=scratch, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise GuardError(f"consumers of {settings.package} did not end within {TIMEOUT} seconds.") from None
    told = [line for line in done.stdout.splitlines() if line.startswith("WITNESS ")]
    if not told:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise GuardError(f"consumers of {settings.package} could not be run: {last}")
    return list(json.loads(told[-1].removeprefix("WITNESS ")))


def _write_metadata(settings: Settings, folder: Path) -> None:
    """What an installed wheel of this tree would say of itself."""
    if settings.pyproject is None:
        return
    project = Distribution(settings.pyproject, settings.shown(settings.pyproject)).project
    name, version = str(project.get("name", settings.name)), str(project.get("version", "0"))
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {project['requires-python']}"] if "requires-python" in project else []
    lines += [f"Requires-Dist: {text}" for text in project.get("dependencies", ())]
    for extra, requirements in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {extra}")
        for text in requirements:
            bare, _, marker = text.partition(";")
            also = f"({marker.strip()}) and " if marker.strip() else ""
            lines.append(f'Requires-Dist: {bare.strip()}; {also}extra == "{extra}"')
    target = folder / f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info"
    target.mkdir()
    (target / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    scripts = [f"{script} = {place}" for script, place in project.get("scripts", {}).items()]
    (target / "entry_points.txt").write_text("\n".join(["[console_scripts]", *scripts]) + "\n", encoding="utf-8")


def _release(settings: Settings, baseline: Path, release: Path | None, target: Path) -> Settings:
    """The package as the frozen snapshot saw it, with its data files."""
    if release is None:
        _check_out(settings, baseline, target)
        inside = settings.package.relative_to(settings.root)
        return find_settings(target / inside)
    if release.is_file() and zipfile.is_zipfile(release):
        with zipfile.ZipFile(release) as wheel:
            wheel.extractall(target)
        release = target
    for folder in (release / settings.package.relative_to(settings.root), release / settings.name, release):
        if (folder / "__init__.py").is_file():
            return find_settings(folder)
    raise GuardError(f"{release} holds no `{settings.name}`. Give a wheel of the last release, or a checkout of it.")


def _check_out(settings: Settings, baseline: Path, target: Path) -> None:
    """The project at the tag of the release, or else at the commit that froze its snapshot."""
    if shutil.which("git") is None:
        raise GuardError("git is needed to find the last release; or give it: `--witness PATH`.")
    root = str(settings.root)
    tags = (f"refs/tags/v{baseline.stem}", f"refs/tags/{baseline.stem}")
    commit = next(
        (found for tag in tags if (found := _git(root, "rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}"))), ""
    )
    commit = commit or _git(root, "log", "-1", "--format=%H", "--", str(baseline))
    if not commit:
        raise GuardError(
            f"no revision is tagged v{baseline.stem} or has frozen {settings.shown(baseline)}. Commit that file, "
            "or give the release: `--witness PATH`."
        )
    command = ("git", "-C", root, "archive", "--format=tar", commit, ".")
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise GuardError(f"revision {commit} cannot be read: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")


def _git(root: str, *arguments: str) -> str:
    done = subprocess.run(("git", "-C", root, *arguments), capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
