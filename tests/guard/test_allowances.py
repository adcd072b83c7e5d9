"""Allowed breaks: each needs a reason and an end, and none outlives its use."""

from datetime import date
from pathlib import Path

import pytest

from sternpost.guard.allowances import AllowanceError, read_allowances
from sternpost.guard.check import Verdict, check
from sternpost.guard.settings import Settings

from . import trees

TODAY = date(2030, 6, 15)


def entry(**changes: str) -> str:
    values = {"rule": "argument-removed", "subject": "lib.f(a)", "reason": "It never had an effect.", "until": "2.0.0"}
    return "[[allow]]\n" + "".join(f'{key} = "{value}"\n' for key, value in (values | changes).items())


@pytest.fixture
def broken(tmp_path: Path) -> Settings:
    """A project of version 1.2.0 whose `f` has lost its argument since 1.0.0."""
    pyproject = {"pyproject.toml": trees.PYPROJECT.replace("1.0.0", "1.2.0")}
    old = pyproject | {"lib/__init__.py": "__all__ = ['f']\ndef f(a): ..."}
    trees.checked(tmp_path, old, pyproject | {"lib/__init__.py": "__all__ = ['f']\ndef f(): ..."})
    return trees.settings_of(tmp_path / "new")


def verdict(settings: Settings, text: str, today: date = TODAY) -> Verdict:
    settings.exceptions.write_text(text)
    return check(settings, today)


def test_an_allowed_break_does_not_fail(broken: Settings):
    """It is still told, and still makes the release a major one."""
    found = verdict(broken, entry())
    assert (found.code, found.bump, found.findings) == (0, "major", ())
    assert [finding.subject for finding in found.allowed] == ["lib.f(a)"]


def test_without_the_entry_it_fails(broken: Settings):
    """The same project, nothing allowed."""
    assert verdict(broken, "").code == 1


@pytest.mark.parametrize(
    ("until", "ended"), [("2030-06-15", False), ("2030-06-14", True), ("1.3", False), ("1.2", True)]
)
def test_an_entry_ends(broken: Settings, until: str, ended: bool):
    """After its day, or when the package has reached its version. Then it must go, and the break counts again."""
    found = verdict(broken, entry(until=until))
    assert (found.code == 1) is ended
    assert [problem.origin.line for problem in found.entries] == ([1] if ended else [])
    assert "ended" in str(found.entries) or not ended
    assert len(found.breaks) == ended


def test_an_entry_that_allows_nothing_must_go(broken: Settings):
    """Else it would allow a later break that nobody has looked at."""
    found = verdict(broken, entry() + "\n" + entry(subject="lib.g(a)"))
    assert [str(problem) for problem in found.entries] == [
        "api_snapshots/except.toml:7: no finding `argument-removed` about `lib.g(a)` needs this exception. Delete it."
    ]
    assert found.code == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (entry(rule="nonsense"), "there is no rule `nonsense`"),
        (entry(reason="  "), "`reason` is empty"),
        (entry(until="soon"), "a day .* or a version .*, got 'soon'"),
        (entry(until="2030-13-01"), "got '2030-13-01'"),
        (entry(typo="x"), "see `typo`"),
        ('[[allow]]\nrule = "argument-removed"\n', "see `subject`"),
        (entry().replace('"2.0.0"', "2"), "see `until`"),
        ("[[allow]", "cannot be read as TOML"),
        ("allow = 3", "must hold `\\[\\[allow\\]\\]` entries"),
    ],
)
def test_a_malformed_entry_is_an_error(tmp_path: Path, text: str, message: str):
    """It names the entry and what it needs; nothing is allowed by accident."""
    file = tmp_path / "except.toml"
    file.write_text(text)
    with pytest.raises(AllowanceError, match=rf"^except\.toml.*{message}"):
        read_allowances(file, "except.toml")


def test_no_file_allows_nothing(tmp_path: Path):
    """The usual state."""
    assert read_allowances(tmp_path / "except.toml", "except.toml") == []
