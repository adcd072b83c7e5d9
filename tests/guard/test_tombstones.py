"""Names that are gone leave an entry; a check fails until there is one."""

from pathlib import Path

import pytest

from sternpost.guard.check import Verdict, check
from sternpost.guard.extract import extract
from sternpost.guard.settings import Settings
from sternpost.guard.snapshot import render

from . import trees

PYPROJECT = trees.PYPROJECT.replace('version = "1.0.0"', 'version = "2.0.0"') + 'tombstones = "lib.gone.STONES"\n'
STONE = "{'since': '2.0.0', 'last': '1.1.0', 'why': 'Nobody used it.', 'use': 'lib.g'}"


def tree(root: Path, names: str, stones: str = "{}") -> Settings:
    code = "\n".join(f"def {name}(): ..." for name in names)
    files = {"lib/__init__.py": f"__all__ = {list(names)}\n{code}", "lib/gone.py": f"STONES = {stones}"}
    return trees.project(root, files | {"pyproject.toml": PYPROJECT})


def checked(tmp_path: Path, names: str, stones: str) -> Verdict:
    """After 1.0.0 had `f` and `g`, and 1.1.0 had `f`, `g` and `h`."""
    new = tree(tmp_path / "new", names, stones)
    new.snapshots.mkdir(parents=True)
    for version, had in (("1.0.0", "fg"), ("1.1.0", "fgh")):
        (new.snapshots / f"{version}.txt").write_text(render(extract(tree(tmp_path / version, had)).facts))
    new.next.write_text(render(extract(new).facts))
    return check(new)


def test_a_name_that_is_gone_needs_an_entry(tmp_path: Path):
    """Told beside the break, with the last version that had it."""
    verdict = checked(tmp_path, "gh", "{}")
    assert verdict.code == 1
    assert verdict.release == ("`lib.f`, which 1.1.0 had, is gone: say what became of it in `lib.gone.STONES`.",)


def test_with_an_entry_all_is_said(tmp_path: Path):
    """The break itself is judged as ever."""
    verdict = checked(tmp_path, "gh", f"{{'lib.f': {STONE}}}")
    assert verdict.release == ()
    assert [finding.rule for finding in verdict.breaks] == ["name-removed"]


def test_an_entry_of_a_name_that_is_there_must_go(tmp_path: Path):
    """It would never be shown."""
    assert checked(tmp_path, "fgh", f"{{'lib.f': {STONE}}}").release == (
        "`lib.f` is not gone: take it out of `lib.gone.STONES`.",
    )


def test_entries_are_facts(tmp_path: Path):
    """So that the snapshot of a release says what it no longer has."""
    found = trees.lines(extract(tree(tmp_path, "g", f"{{'lib.f': {STONE}}}")))
    assert "tombstone lib.f last=1.1.0 since=2.0.0 use=lib.g" in found


@pytest.mark.parametrize(
    ("stones", "problem"),
    [
        ("{'lib.f': {'since': '2.0.0', 'last': '1.0.0'}}", "the entry of `lib.f` does not say `why`"),
        ("{'lib.f': 'gone'}", "the entry of `lib.f` does not say `since`"),
        ("make()", "must be a literal"),
        ("[]", "must be a literal"),
    ],
)
def test_entries_that_say_too_little_are_problems(stones: str, problem: str, tmp_path: Path):
    """With the file of the table."""
    (told,) = extract(tree(tmp_path, "g", stones)).problems
    assert str(told).startswith("lib/gone.py:1: ")
    assert problem in str(told)


def test_a_table_that_does_not_exist_is_a_problem(tmp_path: Path):
    """The setting is wrong, or somebody moved the table."""
    settings = tree(tmp_path, "g")
    (tmp_path / "lib/gone.py").write_text("")
    (told,) = extract(settings).problems
    assert str(told) == "pyproject.toml: there is no table `lib.gone.STONES`, which the option `tombstones` names."
