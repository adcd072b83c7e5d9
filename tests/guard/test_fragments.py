"""What a change says about itself must not be less than what it is."""

from pathlib import Path

import pytest

from sternpost.guard.check import check
from sternpost.guard.cli import main
from sternpost.guard.extract import extract
from sternpost.guard.fragments import announced, asked, shortcomings, too_low
from sternpost.guard.report import as_text
from sternpost.guard.snapshot import render

from . import trees


def fragments(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("README.md", *names):
        (folder / name).write_text("Text.")
    return folder


def test_the_highest_fragment_counts(tmp_path: Path):
    """By the kind in its name; other files are none."""
    assert announced(fragments(tmp_path)) is None
    assert announced(fragments(tmp_path, "a.fixed.md", "notes.txt", "b.unknown.md")) == "patch"
    assert announced(fragments(tmp_path, "a-b.added.md")) == "minor"
    assert announced(fragments(tmp_path, "12.breaking.md")) == "major"


@pytest.mark.parametrize(
    ("old", "new", "bump"),
    [
        ("1.2.3", "1.2.4", "patch"),
        ("1.2.3", "1.3.0", "minor"),
        ("1.2.3", "2.0.0", "major"),
        ("0.1.0", "0.1.1", "minor"),
        ("0.1.0", "0.2.0", "major"),
        ("1.2.3", "1.2.3", None),
        ("1.2.3", "1.2.2", None),
    ],
)
def test_which_release_a_version_asks_for(old: str, new: str, bump: str | None):
    """Before 1.0 the second number may break."""
    assert asked(old, new) == bump


def test_less_than_needed_is_told(tmp_path: Path):
    """A fragment that is missing, and a version that is too low."""
    folder = fragments(tmp_path, "a.fixed.md")
    assert shortcomings(folder, "changelog.d", "patch") == too_low("1.0.0", "1.0.0", "minor") == []
    assert shortcomings(folder, "changelog.d", "minor") == [
        "the changes need a minor release, and no fragment in changelog.d says so: add one of `deprecated` or `added`."
    ]
    assert too_low("1.0.0", "1.0.1", "minor") == ["1.0.1 is a patch release after 1.0.0; the changes need a minor one."]
    assert shortcomings(tmp_path / "nowhere", "changelog.d", "major") == too_low("1.0.0", None, "major") == []


def test_the_check_fails_on_it(tmp_path: Path):
    """Until a fragment of the right kind is there."""
    old = trees.project(tmp_path / "old", {"lib.py": "__all__ = []"})
    new = trees.project(tmp_path / "new", {"lib.py": "__all__ = ['f']\ndef f(): ..."})
    new.snapshots.mkdir(parents=True)
    (new.snapshots / "1.0.0.txt").write_text(render(extract(old).facts))
    new.next.write_text(render(extract(new).facts))
    folder = fragments(new.root / "changelog.d")
    verdict = check(new)
    assert verdict.code == 1
    assert "release  the changes need a minor release" in as_text(verdict)
    fragments(folder, "f.added.md")
    assert check(new).code == 0


def test_a_release_fails_while_a_deprecation_is_overdue(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Of that version or an earlier one; later ones may stay."""
    text = "def f(a=None):\n    if a is not None:\n        warnings.warn('`a` is deprecated, removed in 1.5.0.')\n"
    settings = trees.project(tmp_path, {"lib.py": text})
    package = ("--package", str(settings.package))
    assert main(["snapshot", *package]) == 0
    assert main(["freeze", "1.5.0", *package]) == 2
    assert "`lib.f: a` was to go by 1.5.0" in capsys.readouterr().err
    assert main(["freeze", "1.4.9", *package]) == 0
