"""Settings: which package, what of it is public, and what is said when that is unclear."""

from pathlib import Path

import pytest

from sternpost.guard.settings import SettingsError, find_settings

from . import trees


def test_the_project_around_is_found(tmp_path: Path):
    """From any folder below the pyproject.toml."""
    trees.project(tmp_path, {"pyproject.toml": trees.PYPROJECT, "lib/__init__.py": "", "docs/deep/x.md": ""})
    settings = find_settings(start=tmp_path / "docs" / "deep")
    assert settings.package == tmp_path / "lib"
    assert settings.snapshots == tmp_path / "api_snapshots"


@pytest.mark.parametrize("folder", ["lib/ship", "src/ship", "ship"])
def test_usual_places_need_no_setting(tmp_path: Path, folder: str):
    """A package of the project's name below lib/, src/ or beside pyproject.toml."""
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "ship"\n')
    assert find_settings(start=tmp_path).package == tmp_path / folder


def test_another_package_does_not_get_the_settings(tmp_path: Path):
    """`--package` of something else: neither its dependencies nor its public names are this project's."""
    trees.project(
        tmp_path,
        {"pyproject.toml": trees.PYPROJECT + 'public = ["lib"]', "lib/__init__.py": "", "other/__init__.py": ""},
    )
    settings = find_settings(tmp_path / "other")
    assert (settings.pyproject, settings.public, settings.name) == (None, None, "other")


def test_public_and_tiers(tmp_path: Path):
    """Patterns decide; an underscore hides a module unless a pattern names it."""
    table = 'public = ["lib", "lib.data*"]\nprivate = ["lib.data.old"]\nexperimental = ["lib.lab.*"]'
    settings = trees.project(tmp_path, {"pyproject.toml": trees.PYPROJECT + table, "lib/__init__.py": ""})
    assert [settings.is_public(m) for m in ("lib", "lib.data", "lib.data.old", "lib.lab")] == [True, True, False, False]
    assert [settings.tier(m) for m in ("lib.lab.x", "lib.lab", "lib.legacy.y")] == ["experimental", "stable", "legacy"]
    bare = trees.project(tmp_path / "bare", {"lib/__init__.py": ""})
    assert [bare.is_public(m) for m in ("lib.a", "lib._a", "lib._a.b")] == [True, False, False]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('pubic = ["lib"]', "has no option `pubic`. It has: package"),
        ('public = "lib"', "`public` of `.tool.lib.guard.` must be a list of strings"),
        ("public = [1]", "must be a list of strings"),
        ("snapshots = []", "must be a string"),
        ("= 1", "cannot be read as TOML"),
    ],
)
def test_wrong_settings_are_errors(tmp_path: Path, table: str, message: str):
    """Each names the file, the option and what it must be."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "pyproject.toml").write_text(trees.PYPROJECT + table)
    with pytest.raises(SettingsError, match=message):
        find_settings(start=tmp_path)


def test_tables_of_another_type(tmp_path: Path):
    """`tool` of another type is nobody's table; `guard` of another type is said."""
    (tmp_path / "lib").mkdir()
    for text in ('tool = 3\n[project]\nname = "lib"\n', '[project]\nname = "lib"\n[tool]\nlib = 3\n'):
        (tmp_path / "pyproject.toml").write_text(text)
        assert find_settings(start=tmp_path).public is None
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "lib"\n[tool.lib]\nguard = 3\n')
    with pytest.raises(SettingsError, match="must be a table"):
        find_settings(start=tmp_path)


def test_nothing_to_look_at(tmp_path: Path):
    """No project, no package, or a file that is none: each says what to give."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "ship"\n')
    with pytest.raises(SettingsError, match="does not say where its package lies"):
        find_settings(start=tmp_path)
    with pytest.raises(SettingsError, match="does not exist"):
        find_settings(tmp_path / "ship")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(SettingsError, match="is no package"):
        find_settings(tmp_path / "notes.txt")
