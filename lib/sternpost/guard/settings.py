"""Where the package under guard lies and what of it is public: `[tool.<name>.guard]` of its pyproject.toml."""

import tomllib
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .facts import EXPERIMENTAL, LEGACY, STABLE


class SettingsError(ValueError):
    """The guard cannot tell what to look at."""


@dataclass(frozen=True)
class Settings:
    """What to look at.

    `public` holds patterns of module paths; None means every module without an underscore. Rooms (packages with a
    `contract.py`) are public whatever it says. `pyproject` is None for a bare package; a wheel has `metadata` instead.
    `commands` and `tombstones` are the dotted paths of the command line and of the table of names that are gone.
    `internal` asks for what is not public as well: downstream code relies on it all the same.
    """

    package: Path
    snapshots: Path
    root: Path
    pyproject: Path | None = None
    public: tuple[str, ...] | None = None
    private: tuple[str, ...] = ()
    experimental: tuple[str, ...] = ("*.experimental", "*.experimental.*")
    legacy: tuple[str, ...] = ("*.legacy", "*.legacy.*")
    commands: str | None = None
    tombstones: str | None = None
    ignore_extras: tuple[str, ...] = ()
    metadata: Path | None = None
    internal: bool = False

    @property
    def name(self) -> str:
        """The import name of the package."""
        return self.package.name.removesuffix(".py")

    @property
    def next(self) -> Path:
        return self.snapshots / "next.txt"

    @property
    def exceptions(self) -> Path:
        return self.snapshots / "except.toml"

    def is_public(self, module: str) -> bool:
        """Whether the names that a module exports are promised."""
        if _matches(module, self.private):
            return False
        if self.public is None:
            return not any(part.startswith("_") for part in module.split("."))
        return _matches(module, self.public)

    def tier(self, module: str) -> str:
        if _matches(module, self.experimental):
            return EXPERIMENTAL
        return LEGACY if _matches(module, self.legacy) else STABLE

    def shown(self, path: Path) -> str:
        """A path as findings print it: relative to the project where it lies inside."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return path.as_posix()


_OPTIONS: dict[str, type] = {
    "package": str,
    "snapshots": str,
    "public": list,
    "private": list,
    "experimental": list,
    "legacy": list,
    "commands": str,
    "tombstones": str,
    "ignore-extras": list,
    "internal": bool,
}


def find_settings(package: Path | None = None, snapshots: Path | None = None, start: Path | None = None) -> Settings:
    """The settings of the package at `package`, or of the project around `start` (default: here).

    Raises:
        SettingsError: there is no such package, or the settings hold something that they cannot.
    """
    if package is not None and not package.exists():
        raise SettingsError(f"`--package {package}` does not exist. Give the directory that holds its `__init__.py`.")
    around = (package or start or Path.cwd()).resolve()
    pyproject = next(
        (d / "pyproject.toml" for d in (around, *around.parents) if (d / "pyproject.toml").is_file()), None
    )
    table, name = _read_table(pyproject) if pyproject else ({}, "")
    root = pyproject.parent if pyproject else around.parent
    if package is None:
        package = _locate(root, table, name, pyproject)
    package = package.resolve()
    if not (package.is_dir() or package.suffix == ".py"):
        raise SettingsError(f"{package} is no package: a directory of Python files is needed.")
    settings = Settings(
        package, (snapshots or root / table.get("snapshots", "api_snapshots")).resolve(), root, pyproject
    )
    if table.get("package") and (root / table["package"]).resolve() != package:
        return replace(settings, pyproject=None)
    lists: dict[str, Any] = {key.replace("-", "_"): tuple(v) for key, v in table.items() if isinstance(v, list)}
    internal = bool(table.get("internal", False))
    commands, tombstones = table.get("commands"), table.get("tombstones")
    return replace(settings, commands=commands, tombstones=tombstones, internal=internal, **lists)


def _locate(root: Path, table: dict[str, Any], name: str, pyproject: Path | None) -> Path:
    if pyproject is None:
        raise SettingsError("There is no pyproject.toml here or above. Name the package: `--package PATH`.")
    if "package" in table:
        return root / str(table["package"])
    module = name.replace("-", "_")
    for source in ("lib", "src", "."):
        if module and (root / source / module).is_dir():
            return root / source / module
    raise SettingsError(f"{pyproject} does not say where its package lies. Set `package` in `[tool.{name}.guard]`.")


def _read_table(pyproject: Path) -> tuple[dict[str, Any], str]:
    """The guard's table and the name of the project."""
    try:
        data = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{pyproject}: cannot be read as TOML: {error}") from None
    project = data.get("project")
    name = str(project.get("name", "")) if isinstance(project, dict) else ""
    tool = data.get("tool")
    own = tool.get(name) if isinstance(tool, dict) else None
    table = own.get("guard", {}) if isinstance(own, dict) else {}
    if not isinstance(table, dict):
        raise SettingsError(f"{pyproject}: `guard` of `[tool.{name}]` must be a table.")
    for key, value in table.items():
        if key not in _OPTIONS:
            raise SettingsError(
                f"{pyproject}: `[tool.{name}.guard]` has no option `{key}`. It has: {', '.join(_OPTIONS)}."
            )
        if not isinstance(value, _OPTIONS[key]) or (
            isinstance(value, list) and not all(isinstance(v, str) for v in value)
        ):
            raise SettingsError(f"{pyproject}: `{key}` of `[tool.{name}.guard]` must be a {_described(_OPTIONS[key])}.")
    return table, name


def _described(type_: type) -> str:
    return {str: "string", bool: "boolean"}.get(type_, "list of strings")


def _matches(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)
