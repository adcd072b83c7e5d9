"""A project is untrusted text: hostile files cost themselves, and nothing of them is executed."""

import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.guard.scan import files as files_module
from sternpost.guard.scan.collect import collect
from sternpost.guard.scan.files import open_files

from .projects import BASE, library, project, scanned, write

HOSTILE = {
    "syntax": b"import lib\ndef g(:\n",
    "unicode": b"import lib\nx = '\xff\xfe'\n",
    "encoding": b"# -*- coding: no-such-coding -*-\nimport lib\n",
    "null": b"import lib\x00\n",
    "parentheses": b"import lib\ng = " + b"(" * 4000 + b")" * 4000,
    "unary": b"import lib\ng = " + b"-" * 200_000 + b"1",
    "attributes": b"import lib\ng = lib" + b".y" * 100_000,
    "binary": b"import lib\ng = 1" + b" + 1" * 100_000,
    "calls": b"import lib\ng = " + b"lib.f(" * 90 + b")" * 90,
    "cycle": b"import lib\na = b\nb = a\nclass C(D): ...\nclass D(C): ...\nC().x\n",
    "star": b"from lib import *\nfrom bad import *\n",
}


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_a_hostile_file_costs_only_itself(kind: str, tmp_path: Path):
    """The other file is scanned all the same, and no exception leaves the scan."""
    write(tmp_path / "project", {"good.py": "from lib import pad\n"})
    (tmp_path / "project" / "bad.py").write_bytes(HOSTILE[kind])
    found = scanned(tmp_path, {"good.py": "from lib import pad\n"}, BASE, BASE.replace("def pad(", "def other("))
    assert "lib.pad" in {hit.symbol for hit in found.hits if hit.contact.place.file == "good.py"}
    assert {problem.origin.file for problem in found.problems} <= {"bad.py"}


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is named instead."""
    monkeypatch.setattr(files_module, "MAX_BYTES", 100)
    collection = project(tmp_path, {"a.py": "import lib\n", "b.py": "import lib\n" + "#" * 200})
    assert [str(problem) for problem in collection.problems] == [
        "b.py: cannot be read: more than the 100 bytes that are read"
    ]
    assert len(collection.contacts) == 1


def test_links_and_environments_are_left_out(tmp_path: Path):
    """Neither a loop of links nor an installed copy of everything is walked."""
    write(tmp_path, {"a.py": "", "env/pyvenv.cfg": "", "env/x.py": "", ".git/y.py": "", "node_modules/z.py": ""})
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "b.py").symlink_to(tmp_path / "a.py")
    found = open_files(tmp_path)
    assert [path for path in found.paths if path != "b.py"] == ["a.py"]
    collection = collect(found, "lib")
    assert [str(problem) for problem in collection.problems] == ["b.py: cannot be read: no regular file"]


def test_archives_are_read_in_place(tmp_path: Path):
    """A wheel and an sdist give what the folder gives."""
    write(tmp_path / "p-1", {"p/__init__.py": "", "p/a.py": "from lib import pad\n"})
    with zipfile.ZipFile(tmp_path / "p.whl", "w") as wheel:
        wheel.write(tmp_path / "p-1/p/a.py", "p/a.py")
        wheel.writestr("../evil.py", "import lib")
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as sdist:
        sdist.add(tmp_path / "p-1", "p-1")
    for path in (tmp_path / "p-1", tmp_path / "p.whl", tmp_path / "p.tar.gz"):
        contacts = collect(open_files(path), "lib").contacts
        assert [(contact.path, str(contact.place)) for contact in contacts] == [("lib.pad", "p/a.py:1")]


def test_what_is_no_project_is_said(tmp_path: Path):
    """An archive that is none, and a file of another kind."""
    (tmp_path / "a.whl").write_bytes(b"nothing")
    (tmp_path / "a.txt").write_bytes(b"nothing")
    for name in ("a.whl", "a.txt"):
        with pytest.raises(ValueError, match=name):
            open_files(tmp_path / name)


PIECES = """
import lib
from lib import *
x = lib
x = x.pad
x(**x)
class A(x): pass
class B(A, x): pass
class A(B): pass
def f(self, *a): return self.q, super().q(1)
f = lambda: f
x.y = f
if lib.v > '1': x = 2
del x.y
kw = {'a': 1}
kw['b'] = kw
A(**kw)
'lib.a.b'
f'lib.{x}'
""".strip().splitlines()


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12))
def test_any_mixture_of_statements_is_scanned(pieces: list[str], tmp_path_factory: pytest.TempPathFactory):
    """Cycles of names, classes and dictionaries end."""
    root = tmp_path_factory.mktemp("mixture")
    found = scanned(root, "\n".join(pieces), BASE, BASE)
    assert not found.hits


def test_nothing_is_executed(tmp_path: Path):
    """Not the project, and not the package."""
    marker = tmp_path / "executed"
    attack = f"open({str(marker)!r}, 'w')"
    scanned(tmp_path, f"import lib\n{attack}\nx = lib.pad({attack})\n", f"{attack}\n{BASE}", f"{attack}\n{BASE}")
    library(tmp_path / "again", f"{attack}\n", "3.0").one("lib.pad")
    assert not marker.exists()
