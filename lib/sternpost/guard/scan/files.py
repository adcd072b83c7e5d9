"""The files of a folder, a wheel, a zip or an sdist, read without unpacking, importing or trusting anything."""

import io
import os
import re
import tarfile
import tokenize
import zipfile
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path, PurePosixPath

from ..archives import DAMAGED

MAX_BYTES = 5_000_000
"""Larger files are not read: no hand-written module comes near."""
MAX_FILES = 100_000
"""More files than any project has; a tree with more is not walked to its end."""

_NOT_SOURCE = {"__pycache__", "node_modules", "site-packages", "dist-packages"}
_METADATA = ("pyproject.toml", "setup.cfg", "setup.py", "METADATA", "PKG-INFO")
_CODING = re.compile(rb"coding[:=]")


class Files(ABC):
    """Files by their path below a root, with `/` between parts."""

    shown: str

    @cached_property
    @abstractmethod
    def paths(self) -> list[str]:
        """Every file that may matter, sorted: Python, metadata and requirements."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            OSError, ValueError: it cannot be read, or is larger than `MAX_BYTES`.
        """

    def text(self, path: str) -> str:
        return decode(self.read(path))


class Folder(Files):
    """A directory. Links are not followed; hidden folders, environments and caches are left out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shown = root.as_posix()

    @cached_property
    def paths(self) -> list[str]:
        found: list[str] = []
        for folder, subfolders, names in os.walk(self.root):
            subfolders[:] = sorted(s for s in subfolders if s not in _NOT_SOURCE and not s.startswith("."))
            if "pyvenv.cfg" in names:
                subfolders[:] = []
                continue
            below = Path(folder).relative_to(self.root)
            found += [(below / name).as_posix() for name in names if wanted(name)]
            if len(found) > MAX_FILES:
                break
        return sorted(found)

    def read(self, path: str) -> bytes:
        file = self.root / path
        if file.is_symlink() or not file.is_file():
            raise ValueError("no regular file")
        with file.open("rb") as stream:
            return _bounded(stream.read(MAX_BYTES + 1))


class SingleFile(Files):
    """One Python file as a project of its own."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.shown = file.parent.as_posix()

    @cached_property
    def paths(self) -> list[str]:
        return [self.file.name]

    def read(self, path: str) -> bytes:
        with self.file.open("rb") as stream:
            return _bounded(stream.read(MAX_BYTES + 1))


class Zip(Files):
    """A wheel, or a zipped tree."""

    def __init__(self, file: Path) -> None:
        self.shown = file.name
        self._zip = zipfile.ZipFile(file)

    @cached_property
    def paths(self) -> list[str]:
        names = (info.filename for info in self._zip.infolist() if not info.is_dir())
        return sorted(name for name in names if wanted(PurePosixPath(name).name) and ".." not in name.split("/"))

    def read(self, path: str) -> bytes:
        try:
            with self._zip.open(path) as stream:
                return _bounded(stream.read(MAX_BYTES + 1))
        except (*DAMAGED, KeyError) as error:
            raise ValueError(str(error)) from None


class Tar(Files):
    """An sdist; its one top folder is left out of the paths."""

    def __init__(self, file: Path) -> None:
        self.shown = file.name
        self._content: dict[str, bytes] = {}
        with tarfile.open(file) as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts[1:]
                if member.isfile() and parts and ".." not in parts and wanted(parts[-1]) and member.size <= MAX_BYTES:
                    stream = archive.extractfile(member)
                    self._content["/".join(parts)] = stream.read() if stream else b""
                if len(self._content) > MAX_FILES:
                    break

    @cached_property
    def paths(self) -> list[str]:
        return sorted(self._content)

    def read(self, path: str) -> bytes:
        try:
            return self._content[path]
        except KeyError:
            raise ValueError("not in the archive") from None


def open_files(path: Path) -> Files:
    """The files behind a path.

    Raises:
        ValueError: it is neither a folder nor an archive that can be read.
    """
    try:
        if path.is_dir():
            return Folder(path)
        if path.suffix in (".whl", ".zip"):
            return Zip(path)
        if path.name.endswith((".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")):
            return Tar(path)
        if path.suffix == ".py" and path.is_file():
            return SingleFile(path)
    except DAMAGED as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    raise ValueError(f"{path} is no folder, Python file, wheel, zip or sdist.")


def decode(data: bytes) -> str:
    """Source as text, in the encoding that it declares.

    Raises:
        SyntaxError, ValueError: it declares one that does not exist, or is not in it.
    """
    head = data[:200]
    if head.startswith(b"\xef\xbb\xbf") or _CODING.search(head):
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    return data.decode("utf-8")


def wanted(name: str) -> bool:
    """Whether a file may hold Python or say which versions of the package the project allows."""
    return name.endswith(".py") or name in _METADATA or (name.endswith(".txt") and not name.startswith("."))


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than the {MAX_BYTES} bytes that are read")
    return data
