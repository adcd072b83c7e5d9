"""Archives of strangers: nothing leaves the target, nothing is endless, and nothing but sources is kept."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from sternpost.guard import archives
from sternpost.guard.archives import unpack
from sternpost.guard.scan.files import open_files
from sternpost.guard.settings import SettingsError
from sternpost.guard.sources import MAX_BYTES

EVIL = ("../out.py", "/tmp/out.py", "a/../../out.py", "..\\out.py", "a\0b.py", "x" * 300 + ".py", "run.sh", "a.pyc")


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_only_sources_inside_are_kept_of_a_zip(tmp_path: Path):
    """Paths that lead out, links and other files are left out."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in EVIL:
            archive.writestr(zipfile.ZipInfo(name.replace("\0", "_") if "\0" in name else name), "x = 1")
        link = zipfile.ZipInfo("link.py")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("pkg/__init__.py", "x = 1")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert [name for name in below(tmp_path / "out") if not name.startswith("a_b")] == ["pkg/__init__.py"]
    assert below(tmp_path) == sorted(["a.zip", *(f"out/{name}" for name in below(tmp_path / "out"))])


def test_only_sources_inside_are_kept_of_a_tar(tmp_path: Path):
    """The same, and no device, link or pipe of any kind."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in (*EVIL[:4], *EVIL[5:], "pkg/__init__.py"):
            info = tarfile.TarInfo(name)
            info.size = 5
            archive.addfile(info, io.BytesIO(b"x = 1"))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"special{kind!r}.py")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert below(tmp_path / "out") == ["pkg/__init__.py"]


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One file is cut where the reader stops anyway; many are refused, and leave nothing behind."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pkg/__init__.py", b"#" * (MAX_BYTES * 4))
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out/pkg/__init__.py").stat().st_size == MAX_BYTES + 1
    monkeypatch.setattr(archives, "MAX_TOTAL", MAX_BYTES)
    with pytest.raises(SettingsError, match="unpacks to more than"):
        unpack(tmp_path / "a.zip", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out"]


def test_files_that_clash_are_left_out(tmp_path: Path):
    """A file where another entry needs a folder costs that entry."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.py", "x = 1")
        archive.writestr("a.py/b.py", "y = 1")
        archive.writestr("c.py", "z = 1")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert below(tmp_path / "out") == ["a.py", "c.py"]


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_damaged_data_is_said(packing: int, tmp_path: Path):
    """In one sentence, however the archive is packed; a project that is read in place loses that file alone."""
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w", packing) as archive:
        archive.writestr("pkg/__init__.py", "".join(f"x{number} = {number * number}\n" for number in range(999)))
    data = bytearray(file.read_bytes())
    data[60:200] = bytes(140)
    file.write_bytes(data)
    with pytest.raises(SettingsError, match="cannot be unpacked"):
        unpack(file, tmp_path / "out")
    with pytest.raises(ValueError, match=r"."):
        open_files(file).read("pkg/__init__.py")
