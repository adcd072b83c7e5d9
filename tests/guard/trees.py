"""Small projects on disk, and what the guard says about them."""

from pathlib import Path

from sternpost.guard.check import Verdict, check
from sternpost.guard.extract import extract
from sternpost.guard.facts import Snapshot
from sternpost.guard.settings import Settings, find_settings
from sternpost.guard.snapshot import render

PYPROJECT = """\
[project]
name = "lib"
version = "1.0.0"

[tool.lib.guard]
package = "lib"
"""


def project(root: Path, files: dict[str, str]) -> Settings:
    """Write files below `root`; a lone `lib.py` is the package."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return settings_of(root)


def settings_of(root: Path) -> Settings:
    """The settings of a project that is on disk."""
    return find_settings(root / "lib.py" if (root / "lib.py").exists() else root / "lib")


def module(root: Path, text: str) -> Snapshot:
    """The snapshot of a package that is one file."""
    return extract(project(root, {"lib.py": text}))


def lines(snapshot: Snapshot) -> list[str]:
    """The snapshot's text without its header."""
    return render(snapshot.facts).splitlines()[1:]


def checked(root: Path, old: dict[str, str], new: dict[str, str]) -> Verdict:
    """The verdict on `new` after `old` was frozen as 1.0.0."""
    before, after = project(root / "old", old), project(root / "new", new)
    after.snapshots.mkdir(parents=True)
    (after.snapshots / "1.0.0.txt").write_text(render(extract(before).facts))
    after.next.write_text(render(extract(after).facts))
    return check(after)


def case(root: Path, folder: Path) -> Verdict:
    """The verdict on a pair `old`, `new` of files or of projects."""
    return checked(root, _files(folder, "old"), _files(folder, "new"))


def _files(folder: Path, side: str) -> dict[str, str]:
    if (folder / f"{side}.py").exists():
        return {"lib.py": (folder / f"{side}.py").read_text()}
    files = (file for file in sorted((folder / side).rglob("*")) if file.is_file())
    return {file.relative_to(folder / side).as_posix(): file.read_text() for file in files}
