"""Unpacking archives of strangers: Python sources and metadata only, nothing outside the target, nothing endless."""

import lzma
import os
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from .settings import SettingsError
from .sources import MAX_BYTES

MAX_FILES = 200_000
MAX_TOTAL = 1_000_000_000
"""Bytes that an archive may unpack to."""

DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error,
    EOFError, OSError, ValueError, RuntimeError,
)  # fmt: skip
"""What reading an archive raises if it is damaged, encrypted or packed in a way that is not known."""

_KEPT = ("METADATA", "PKG-INFO", "entry_points.txt", "top_level.txt", "pyproject.toml", "setup.cfg")


def unpack(file: Path, target: Path) -> None:
    """Unpack what the guard reads into `target`, unless it is there already. A half-made folder is never left there.

    Raises:
        SettingsError: the file is no archive, or unpacks to more than anyone wrote.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        total = 0
        for number, (name, stream) in enumerate(_entries(file)):
            path = scratch.joinpath(*PurePosixPath(name).parts)
            data = stream.read(MAX_BYTES + 1)  # one more than is read of a source, so that the reader complains
            total += len(data)
            if number > MAX_FILES or total > MAX_TOTAL:
                raise SettingsError(
                    f"{file} unpacks to more than {MAX_FILES} files or {MAX_TOTAL} bytes; it is not read."
                )
            _write(path, data)
        try:
            scratch.rename(target)
        except OSError:  # another process was faster
            if not target.exists():
                raise
    except DAMAGED as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(f"{file} cannot be unpacked: {type(error).__name__}: {error}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    """Names that this file system cannot hold, and files where a folder is, are left out."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        if error.errno in (28, 122):  # no space, quota
            raise


def _entries(file: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Regular files worth keeping, by a relative name that stays inside."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                is_link = (info.external_attr >> 16) & 0o170000 == 0o120000
                if not info.is_dir() and not is_link and _wanted(info.filename):
                    with archive.open(info) as stream:
                        yield info.filename, stream
        return
    with tarfile.open(file) as tar:
        for member in tar:
            if member.isfile() and _wanted(member.name):
                opened = tar.extractfile(member)
                if opened is not None:
                    yield member.name, opened


def _wanted(name: str) -> bool:
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts and "\\" not in name and "\0" not in name
    short = len(name) < 1000 and all(len(os.fsencode(part)) < 250 for part in path.parts)
    return inside and short and (path.suffix == ".py" or path.name in _KEPT)
