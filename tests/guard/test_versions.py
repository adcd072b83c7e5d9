"""Any two versions of a package against each other."""

from pathlib import Path

import pytest

from sternpost.guard.cli import main
from sternpost.guard.extract import extract
from sternpost.guard.snapshot import render
from sternpost.guard.versions import read_version

from . import trees
from .test_packages import wheel


def test_two_wheels(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """From the command line; a break is exit code 1, in text and as data."""
    monkeypatch.setenv("STERNPOST_GUARD_CACHE", str(tmp_path / "cache"))
    old = wheel(tmp_path / "old")
    new = wheel(tmp_path / "new", {"pkg_name/__init__.py": "from .a import f", "pkg_name/a.py": "def f(y): ..."})
    assert main(["diff", str(old), str(new)]) == 1
    assert "BREAK argument-renamed" in capsys.readouterr().out
    assert main(["diff", str(old), str(old), "--format", "json"]) == 0
    assert main(["diff", str(old), str(tmp_path / "nowhere")]) == 2


def test_what_is_unpacked_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The second time the facts come from the cache."""
    file = wheel(tmp_path)
    first = read_version(str(file), tmp_path / "cache")
    monkeypatch.setattr("sternpost.guard.versions.extract", lambda _: pytest.fail("read again"))
    again = read_version(str(file), tmp_path / "cache")
    assert (again.snapshot.facts, again.number) == (first.snapshot.facts, "1.2")


def test_a_snapshot_file_is_a_version(tmp_path: Path):
    """With the number that it is named by."""
    snapshot = extract(trees.project(tmp_path, {"lib.py": "def f(x): ..."}))
    (tmp_path / "1.0.0.txt").write_text(render(snapshot.facts))
    version = read_version(str(tmp_path / "1.0.0.txt"))
    assert (version.snapshot.facts, version.number) == (snapshot.facts, "1.0.0")
