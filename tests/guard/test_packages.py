"""Packages by whatever name people have for them; none is built, imported or executed."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from sternpost.guard.extract import extract
from sternpost.guard.packages import default_cache, fetch, locate
from sternpost.guard.settings import Settings, SettingsError

from . import trees

METADATA = """\
Metadata-Version: 2.1
Name: Pkg-Name
Version: 1.2
Requires-Python: >=3.9
Requires-Dist: numpy>=1.20
Requires-Dist: rich; extra == "pretty"
Requires-Dist: tomli; (python_version < "3.11") and extra == "pretty"
Provides-Extra: pretty
"""

SOURCES = {"pkg_name/__init__.py": "from .a import f", "pkg_name/a.py": "def f(x): ...", "tests/__init__.py": ""}


def wheel(folder: Path, files: dict[str, str] | None = None) -> Path:
    file = folder / "pkg_name-1.2-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    info = {"pkg_name-1.2.dist-info/METADATA": METADATA}
    info["pkg_name-1.2.dist-info/entry_points.txt"] = "[console_scripts]\npkg = pkg_name:main\n"
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in ((SOURCES if files is None else files) | info).items():
            archive.writestr(name, text)
    return file


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def lines(settings: Settings) -> list[str]:
    return trees.lines(extract(settings))


def test_a_wheel(tmp_path: Path):
    """Its package, and what its metadata says of requirements and scripts."""
    found = lines(locate(str(wheel(tmp_path / "dist")), tmp_path / "cache"))
    assert "function pkg_name.f order=x tier=stable" in found
    assert [line for line in found if line.split()[0] in ("python", "extra", "dependency", "script")] == [
        "dependency Pkg-Name numpy floor=1.20",
        "dependency Pkg-Name[pretty] rich",
        'dependency Pkg-Name[pretty] tomli marker="python_version < \\"3.11\\""',
        "extra Pkg-Name pretty",
        "python Pkg-Name floor=3.9",
        "script Pkg-Name pkg",
    ]


@pytest.mark.parametrize("prefix", ["", "src/"])
def test_an_sdist(tmp_path: Path, prefix: str):
    """Flat or with `src/`; its `setup.py` is not run."""
    root = tmp_path / "pkg_name-1.2"
    files = {f"{prefix}{name}": text for name, text in SOURCES.items()}
    write(root, files | {"setup.py": "raise SystemExit('executed')", "PKG-INFO": METADATA})
    with tarfile.open(tmp_path / "pkg_name-1.2.tar.gz", "w:gz") as archive:
        archive.add(root, "pkg_name-1.2")
    found = lines(locate(str(tmp_path / "pkg_name-1.2.tar.gz"), tmp_path / "cache"))
    assert "function pkg_name.f order=x tier=stable" in found
    assert "python Pkg-Name floor=3.9" in found


def test_directories(tmp_path: Path):
    """A package, a module, a project around a package; a project's own settings count."""
    write(tmp_path, SOURCES | {"one.py": "def g(): ..."})
    for path in (tmp_path, tmp_path / "pkg_name"):
        assert locate(str(path), tmp_path / "cache").package == (tmp_path / "pkg_name").resolve()
    assert locate(str(tmp_path / "one.py")).name == "one"
    (tmp_path / "pyproject.toml").write_text('[project]\nname="pkg-name"\n[tool.pkg-name.guard]\nprivate=["*.a"]\n')
    settings = locate(str(tmp_path))
    assert settings.private == ("*.a",)
    assert not settings.internal


LOOSE = {
    "a module": ({"pkg_name.py": "x = 1", "setup.py": "", "test_it.py": ""}, "pkg_name.py"),
    "a module below src": ({"src/pkg_name.py": "x = 1", "docs/conf.py": ""}, "src/pkg_name.py"),
    "the module that is wanted": ({"pkg_name.py": "x = 1", "other.py": "x = 1"}, "pkg_name.py"),
    "a namespace": ({"pkg_name/a.py": "x = 1", "tests/b.py": ""}, "pkg_name"),
}


@pytest.mark.parametrize("how", sorted(LOOSE))
def test_checkouts_without_a_regular_package(how: str, tmp_path: Path):
    """One module, or a folder of modules: the one with the name that is wanted."""
    files, found = LOOSE[how]
    write(tmp_path, files)
    assert locate(str(tmp_path), tmp_path / "cache", "pkg_name").package == (tmp_path / found).resolve()


def test_several_modules_are_no_package(tmp_path: Path):
    """Unless one of them is named."""
    write(tmp_path, {"a.py": "", "b.py": ""})
    with pytest.raises(SettingsError, match="holds no package"):
        locate(str(tmp_path), tmp_path / "cache")


def test_an_installed_package_is_found_without_importing_it():
    """By name, with its metadata."""
    before = set(sys.modules)
    settings = locate("hypothesis")
    assert settings.package.name == "hypothesis"
    assert settings.metadata is not None
    assert {name for name in set(sys.modules) - before if name.startswith("hypothesis.")} == set()


def test_a_git_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The tree of that commit, whatever lies in the work tree; the repository is left as it is."""
    repository = tmp_path / "repository"
    write(repository, SOURCES)
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull}

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        command = ("git", "-C", str(repository), *identity, *arguments)
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    git("tag", "v1")
    (repository / "pkg_name/a.py").write_text("def changed(): ...")
    state = git("status", "--porcelain")
    assert "function pkg_name.f order=x tier=stable" in lines(locate(f"git:{repository}@v1", tmp_path / "cache"))
    monkeypatch.chdir(repository)
    assert locate("git:v1", tmp_path / "cache").package.name == "pkg_name"
    assert git("status", "--porcelain") == state
    with pytest.raises(SettingsError, match="no revision `--upload-pack=x`"):
        locate("git:--upload-pack=x", tmp_path / "cache")


def test_what_does_not_exist_is_named(tmp_path: Path):
    """Paths, modules and archives."""
    with pytest.raises(SettingsError, match="is no package: give a directory"):
        locate("no/such/place", tmp_path)
    with pytest.raises(SettingsError, match="neither a path nor an installed package"):
        locate("no_such_module_anywhere", tmp_path)
    (tmp_path / "broken-1-py3-none-any.whl").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(SettingsError, match="cannot be unpacked"):
        locate(str(tmp_path / "broken-1-py3-none-any.whl"), tmp_path / "cache")


def test_a_release_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What was fetched once is not fetched again, and pip is asked for wheels only: it runs what builds an sdist."""
    file = wheel(tmp_path / "downloads")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("pip was asked"))
    assert fetch("Pkg.Name", "1.2", tmp_path) == file
    asked: list[tuple[str, ...]] = []

    def run(command: tuple[str, ...], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no matching distribution")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SettingsError, match=r"no matching distribution.*give the file"):
        fetch("pkg-name", "1.3", tmp_path)
    assert "--only-binary=:all:" in asked[0]


def test_the_cache_can_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By the variable of the guard, or that of the desktop."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("STERNPOST_GUARD_CACHE", raising=False)
    assert default_cache() == tmp_path / "sternpost-guard"
    monkeypatch.setenv("STERNPOST_GUARD_CACHE", str(tmp_path / "here"))
    assert default_cache() == tmp_path / "here"
