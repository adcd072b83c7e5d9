"""A package by whatever name people have for it: a directory, an archive, a release, an installed name, a git revision.

    PATH                 directory of a package or of a project, or a single module
    FILE.whl, FILE.tar.gz, FILE.zip   an archive
    NAME==VERSION        a release of the registry that pip is set up for, fetched as a wheel
    NAME                 a package that is installed beside this one
    git:REVISION         this repository at that revision; `git:PATH@REVISION` for another one

Nothing of a package is built, imported or executed. What is fetched or unpacked is kept below the cache folder.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from .archives import unpack
from .settings import Settings, SettingsError, find_settings

_RELEASE = re.compile(r"([A-Za-z0-9][\w.-]*)==([\w.!+-]+)")
_NOT_PACKAGES = {"tests", "test", "docs", "doc", "examples", "example", "benchmarks", "scripts", "build", "dist"}
_NOT_MODULES = {"setup", "conftest", "noxfile", "tasks", "fabfile", "versioneer"}
_FOR_DEVELOPERS = ("dev", "test", "tests", "testing", "doc", "docs", "lint", "quality", "benchmark", "benchmarks", "ci")
"""Extras that are for those who develop a package, not for those who use it."""
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")


def default_cache() -> Path:
    """Where downloads and unpacked sources are kept: `$STERNPOST_GUARD_CACHE`, or the user's cache folder."""
    if named := os.environ.get("STERNPOST_GUARD_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sternpost-guard"


def locate(spec: str, cache: Path | None = None, wanted: str = "") -> Settings:
    """Where the sources of `spec` lie, and what of them is public; `wanted` is the import name, where that is known.

    Raises:
        SettingsError: there is no such package; says what was looked for.
    """
    cache = cache or default_cache()
    if spec.startswith("git:"):
        return _revision(spec.removeprefix("git:"), cache, wanted)
    if release := _RELEASE.fullmatch(spec):
        return _archive(fetch(release[1], release[2], cache), cache)
    path = Path(spec)
    if path.is_file() and path.name.endswith(_ARCHIVES):
        return _archive(path, cache)
    if path.exists():
        return _on_disk(path.resolve(), wanted)
    if spec.isidentifier():
        return _installed(spec)
    raise SettingsError(
        f"`{spec}` is no package: give a directory, a wheel or sdist, `name==version`, an installed name, "
        "or `git:REVISION`."
    )


def fetch(name: str, version: str, cache: Path) -> Path:
    """The wheel of a release, from the cache or by `pip download`. Only wheels: pip runs what builds an sdist.

    Raises:
        SettingsError: pip finds none.
    """
    downloads = cache / "downloads"
    stem = re.sub(r"[-_.]+", "_", name)
    pattern = re.compile(rf"{re.escape(stem)}-{re.escape(version)}-.*\.whl", re.I)
    for file in sorted(downloads.glob("*.whl")):
        if pattern.fullmatch(file.name):
            return file
    downloads.mkdir(parents=True, exist_ok=True)
    options = ("--quiet", "--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--disable-pip-version-check")
    command = (sys.executable, "-m", "pip", "download", *options, "--dest", str(downloads), f"{name}=={version}")
    done = subprocess.run(command, cwd=downloads, capture_output=True, text=True, check=False)
    found = [file for file in sorted(downloads.glob("*.whl")) if pattern.fullmatch(file.name)]
    if done.returncode or not found:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise SettingsError(
            f"`{name}=={version}` cannot be fetched as a wheel ({last}). If it is published as an sdist only, "
            "download that and give the file."
        )
    return found[0]


def _archive(file: Path, cache: Path) -> Settings:
    """Unpacked once for each content."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    target = cache / "unpacked" / f"{file.name}-{digest}"
    unpack(file, target)
    dist_info = next(iter(sorted(target.glob("*.dist-info"))), None)
    wanted = re.sub(r"[-.]+", "_", file.name.split("-")[0]).lower()
    if dist_info is not None:
        metadata = dist_info / "METADATA"
        return _bare(_package_in(target, wanted, file), target, metadata if metadata.is_file() else None)
    folders = [folder for folder in sorted(target.iterdir()) if folder.is_dir()]
    root = folders[0] if len(folders) == 1 and not (folders[0] / "__init__.py").exists() else target
    return _project(root, wanted, file)


def _revision(text: str, cache: Path, wanted: str) -> Settings:
    """The tree of a revision, as `git archive` writes it: no work tree is made and no hook runs."""
    repository, at, revision = text.rpartition("@")
    folder = Path(repository) if at else Path.cwd()
    git = ("git", "-C", str(folder))
    found = subprocess.run(
        (*git, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"),
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        raise SettingsError(f"`git:{text}`: {folder} has no revision `{revision}`. {found.stderr.strip()}".strip())
    commit = found.stdout.strip()
    target = cache / "unpacked" / f"git-{commit}"
    if not target.exists():
        archive = cache / "downloads" / f"git-{commit}.tar"
        archive.parent.mkdir(parents=True, exist_ok=True)
        top = subprocess.run((*git, "rev-parse", "--show-toplevel"), capture_output=True, text=True, check=True)
        command = ("git", "-C", top.stdout.strip(), "archive", "--format=tar", "--output", str(archive), commit)
        subprocess.run(command, capture_output=True, check=True)
        unpack(archive, target)
        archive.unlink()
    return _project(target, wanted, folder)


def _on_disk(path: Path, wanted: str) -> Settings:
    """A package, a module, or a project around one. Settings of a project count for the package that they name."""
    if path.is_file() or (path / "__init__.py").exists():
        settings = find_settings(path)
        metadata = _metadata_beside(path) if settings.pyproject is None else None
        return settings if metadata is None else _bare(path, path.parent, metadata)
    return _project(path, wanted, path)


def _installed(name: str) -> Settings:
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    places = [Path(p) for p in (found.submodule_search_locations or ())] if found else []
    if not places and found is not None and found.origin and found.origin.endswith(".py"):
        places = [Path(found.origin)]
    if not places:
        raise SettingsError(f"`{name}` is neither a path nor an installed package with sources.")
    return _bare(places[0].resolve(), places[0].resolve().parent, _metadata_beside(places[0].resolve()))


def _metadata_beside(package: Path) -> Path | None:
    """The METADATA of the installed distribution whose name is that of the package."""
    for folder in sorted(package.parent.glob("*.dist-info")):
        stem = folder.name.removesuffix(".dist-info").split("-")[0]
        if re.sub(r"[-.]+", "_", stem).lower() == package.name.lower() and (folder / "METADATA").is_file():
            return folder / "METADATA"
    return None


def _project(root: Path, wanted: str, shown: Path) -> Settings:
    """A project as it stands in version control or in an sdist."""
    if (root / "pyproject.toml").is_file():
        try:
            return find_settings(start=root)
        except SettingsError:
            wanted = wanted or _declared_name(root / "pyproject.toml")
    metadata = root / "PKG-INFO"
    for source in ("src", "lib", "."):
        if (root / source).is_dir() and _packages(root / source):
            package = _package_in(root / source, wanted, shown)
            return _bare(package, root, metadata if metadata.is_file() else None)
    for source in ("src", "lib", "."):
        if (root / source).is_dir() and (entry := _loose(root / source, wanted)) is not None:
            return _bare(entry, root, metadata if metadata.is_file() else None)
    raise SettingsError(f"{shown} holds no package: no folder with an `__init__.py` in `src`, `lib` or at the top.")


def _loose(folder: Path, wanted: str) -> Path | None:
    """A module, or a folder of modules without an `__init__.py`: the one that is wanted, or the only one."""
    modules = [file for file in sorted(folder.glob("*.py")) if file.stem not in _NOT_MODULES]
    others = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry.name.isidentifier()]
    folders = [e for e in others if e.name not in (*_NOT_PACKAGES, "src", "lib") and next(e.rglob("*.py"), None)]
    found = [entry for entry in (*modules, *folders) if not entry.stem.startswith("test_")]
    named = [entry for entry in found if entry.stem.lower() == wanted.lower()]
    return (named or found)[0] if named or len(found) == 1 else None


def _declared_name(pyproject: Path) -> str:
    match = re.search(r'^name\s*=\s*["\']([\w.-]+)', pyproject.read_text(encoding="utf-8", errors="replace"), re.M)
    return re.sub(r"[-.]+", "_", match[1]).lower() if match else ""


def _packages(folder: Path) -> list[Path]:
    found = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and (entry / "__init__.py").is_file()]
    return [entry for entry in found if entry.name not in _NOT_PACKAGES] or found


def _package_in(folder: Path, wanted: str, shown: Path) -> Path:
    """The package that is named as its distribution, or else the one with the most files."""
    packages = _packages(folder)
    modules = [file for file in sorted(folder.glob("*.py")) if file.name != "setup.py"]
    for entry in (*packages, *modules):
        if entry.name.removesuffix(".py").lower() == wanted.lower():
            return entry
    namespace = folder / wanted
    if wanted and namespace.is_dir() and any(namespace.rglob("*.py")):
        return namespace
    if packages:
        return max(packages, key=lambda entry: (sum(1 for _ in entry.rglob("*.py")), entry.name))
    if modules:
        return modules[0]
    raise SettingsError(f"{shown} holds no package: no folder with an `__init__.py`, and no module.")


def _bare(package: Path, root: Path, metadata: Path | None) -> Settings:
    """A package that has no settings of the guard: all that is not private is public, and the rest is watched."""
    return Settings(
        package, root / "api_snapshots", root, metadata=metadata, internal=True, ignore_extras=_FOR_DEVELOPERS
    )
