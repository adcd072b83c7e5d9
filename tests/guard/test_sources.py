"""Trust: a tree is text. Hostile files cost themselves, never the run, and nothing of them is executed."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.guard import sources
from sternpost.guard.extract import extract

from . import trees

GOOD = {
    "lib/__init__.py": "from .good import f\nfrom .bad import g\n__all__ = ['f', 'g']",
    "lib/good.py": "def f(a): ...",
}

HOSTILE = {
    "syntax": (b"def g(:\n", "cannot be parsed"),
    "unicode": (b"def g(): '\xff\xfe'\n", "cannot"),
    "encoding": (b"# -*- coding: no-such-coding -*-\n", "cannot be parsed"),
    "null": (b"def g():\x00 ...\n", ""),
    "parentheses": (b"g = " + b"(" * 4000 + b")" * 4000, ""),
    "unary": (b"g = " + b"-" * 200_000 + b"1", "nested too deeply"),
    "attributes": (b"g = x" + b".y" * 100_000, "nested too deeply"),
    "binary": (b"g = 1" + b" + 1" * 100_000, "nested too deeply"),
    "nested": (b"".join(b" " * i + b"if x:\n" for i in range(98)) + b" " * 98 + b"pass", ""),
    "huge": (b"#" * (sources.MAX_BYTES + 1), "are more than the"),
}


@pytest.mark.parametrize("internal", [False, True])
@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_a_hostile_file_costs_only_itself(kind: str, internal: bool, tmp_path: Path):
    """An error that names the file, and the facts of all other files; also where bodies and private names are read."""
    pyproject = trees.PYPROJECT + f"internal = {str(internal).lower()}\n"
    config = trees.project(tmp_path, GOOD | {"pyproject.toml": pyproject})
    content, message = HOSTILE[kind]
    (tmp_path / "lib" / "bad.py").write_bytes(content)
    snapshot = extract(config)
    assert "function lib.f order=a tier=stable" in trees.lines(snapshot)
    assert kind == "nested" or [problem.origin.file for problem in snapshot.problems] == ["lib/bad.py"]
    assert all(message in str(problem) for problem in snapshot.problems)


def test_nothing_is_executed(tmp_path: Path):
    """Not the module, not its decorators, defaults or annotations, and nothing is imported."""
    marker = tmp_path / "executed"
    attack = f"open({str(marker)!r}, 'w')"
    text = f"""
import antigravity_that_does_not_exist
{attack}
__all__ = ["f", "C"]
def f(x={attack}, y: ({attack}) = 1): ...
@({attack})
class C({attack}):
    z: int = {attack}
"""
    before = set(sys.modules)
    snapshot = trees.module(tmp_path, text)
    assert not marker.exists()
    assert "function lib.f order=x,y tier=stable" in trees.lines(snapshot)
    assert "lib" not in set(sys.modules) - before


def test_what_is_not_run_on_import_is_not_there(tmp_path: Path):
    """Names under `if __name__ == "__main__"` cannot be imported; lines after them keep their numbers."""
    text = "def f(): ...\nif __name__ == '__main__':\n    @f\n    def g(): ...\n\ny = 2\nif __name__ == 'a': z = 3\n"
    snapshot = trees.module(tmp_path, text)
    assert sorted(snapshot.names) == ["lib", "lib.f", "lib.y", "lib.z"]
    assert str(snapshot.names["lib.y"].origin) == "lib.py:6"


def test_links_are_not_followed(tmp_path: Path):
    """Cycles of folders end, and a file outside the tree is not read through a link."""
    config = trees.project(tmp_path / "tree", {"lib/__init__.py": "from .secret import f\n__all__ = ['f']"})
    (tmp_path / "secret.py").write_text("def f(password): ...")
    (tmp_path / "tree/lib/loop").symlink_to(tmp_path / "tree/lib", target_is_directory=True)
    (tmp_path / "tree/lib/secret.py").symlink_to(tmp_path / "secret.py")
    assert trees.lines(extract(config)) == ["module lib tier=stable", "name lib.f tier=stable"]


def test_cycles_of_imports_end(tmp_path: Path):
    """Names that lead to each other, through imports, wildcards, assignments, bases and lazy tables."""
    files = {
        "lib/__init__.py": "from .a import *\nfrom .b import *\nfrom .a import x as x, y\n"
        "__all__ = ['x', 'y', 'z', 'C', 'lazy']\n_T = {'lazy': '', 'q': 'a'}\ndef __getattr__(name): ...",
        "lib/a.py": "from .b import *\nfrom .b import x\nfrom . import y\nz = zz\nzz = z",
        "lib/b.py": "from .a import *\nfrom .a import x\nclass C(D): ...\nclass D(C): ...\n"
        "_T = {'k': 'b'}\ndef __getattr__(n): ...",
    }
    config = trees.project(tmp_path, files)
    assert extract(config).problems == ()


def test_a_long_chain_of_imports_is_followed_or_ends(tmp_path: Path):
    """Hundreds of modules that each import from the next."""
    files = {f"lib/m{i}.py": f"from .m{i + 1} import f" for i in range(400)}
    files |= {"lib/__init__.py": "from .m0 import f\n__all__ = ['f']", "lib/m400.py": "def f(a): ..."}
    config = trees.project(tmp_path, files)
    assert any(line.startswith(("function lib.f", "name lib.f")) for line in trees.lines(extract(config)))


def test_a_chain_of_names_that_is_too_long_ends(tmp_path: Path):
    """Assignments, constants and bases, thousands deep: what cannot be followed is not known, and nothing is raised."""
    lines = [f"a{i} = a{i + 1}\nc{i} = (c{i + 1},)\nclass C{i}(C{i + 1}): ..." for i in range(3000)]
    source = "\n".join(
        ["__all__ = ['a0', 'f', 'C0', 'g']", *lines, "def a3000(): ...", "def f(x=c0, y: a1 = 1): ...", "def g(): ..."]
    )
    found = trees.lines(trees.module(tmp_path, source))
    assert 'function lib.g order="" tier=stable' in found
    assert "class lib.C0 tier=stable" in found


def test_many_wildcards_do_not_explode(tmp_path: Path):
    """Every module takes everything from every other: each is asked once for each name."""
    count = 14
    stars = "\n".join(f"from .m{i} import *" for i in range(count))
    files = {f"lib/m{i}.py": stars for i in range(count)} | {"lib/__init__.py": f"{stars}\n__all__ = ['nowhere']"}
    assert "name lib.nowhere tier=stable" in trees.lines(extract(trees.project(tmp_path, files)))


def test_a_package_whose_init_is_broken_still_gives_its_modules(tmp_path: Path):
    """Relative imports below it are still understood."""
    files = {
        "lib/__init__.py": "",
        "lib/sub/__init__.py": "def (",
        "lib/sub/a.py": "from .b import g as g\n__all__ = ['g']",
        "lib/sub/b.py": "def g(x): ...",
    }
    snapshot = extract(trees.project(tmp_path, files))
    assert "function lib.sub.a.g order=x tier=stable" in trees.lines(snapshot) or any(
        line.startswith("function lib.sub") for line in trees.lines(snapshot)
    )
    assert [problem.origin.file for problem in snapshot.problems] == ["lib/sub/__init__.py"]


@settings(max_examples=150)
@given(text=st.text(max_size=200))
def test_any_text_is_understood_or_refused(tmp_path_factory, text: str):
    """Whatever a file holds, there is a snapshot and at most a problem."""
    root = tmp_path_factory.mktemp("any")
    config = trees.project(root, {"lib/__init__.py": "from .bad import *\n__all__ = ['f']"})
    (root / "lib" / "bad.py").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert "module lib tier=stable" in trees.lines(extract(config))


SNIPPETS = [
    "from __future__ import annotations",
    "import a.b.c as d, e",
    "from .. import x",
    "from ....... import y",
    "from . import *",
    "__all__ = ['f', 1, None, f'{x}', *y]",
    "__all__ += other.__all__ + [z]",
    "__all__.extend(['k'])",
    "del __all__",
    "def f(a, b: 1 = 2, *c, d, **e) -> f: yield",
    "async def f(): await g()",
    "class C(f(), metaclass=M, **k): x: int; y = z = 1; (a, b) = 1, 2; C.q = 3; import os",
    "class C:\n    from x import *\n    def __init__(self): self.x: int = 1; self.y.z = 2",
    "@dataclass(**options)\nclass D: a: int = field(**o); b: 'int' = field(default=1)",
    "@dataclasses.dataclass(kw_only=flag)\nclass D(D): a: ClassVar = 1",
    "f = C = D",
    "f.x = 1; f[0] = 2",
    "if TYPE_CHECKING:\n    from .x import f\nelse:\n    f = None",
    "try:\n    import f\nexcept ImportError as f:\n    f = None",
    "f: 'int | ' = 1",
    "T = Literal[T]",
    "lambda: (yield)",
    "match x:\n    case {'a': f, **rest}: pass",
    "with a as f, b as C: pass",
    "for f in C: pass",
    "(f := 1)",
    "global f",
]


@settings(max_examples=150)
@given(parts=st.lists(st.sampled_from(SNIPPETS), max_size=6))
def test_odd_python_is_understood(tmp_path_factory, parts: list[str]):
    """Corners of the language, in any combination, leave no problem: they are valid or refused by the parser alone."""
    text = "\n".join(parts)
    snapshot = trees.module(tmp_path_factory.mktemp("odd"), text)
    assert all("cannot be parsed" in str(problem) for problem in snapshot.problems), text


def test_unreadable_files_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Missing permission is an error for that file."""
    config = trees.project(tmp_path, GOOD | {"lib/bad.py": "def g(): ..."})
    read = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path.name == "bad.py":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert [str(problem) for problem in extract(config).problems] == [
        "lib/bad.py: cannot be read: [Errno 13] Permission denied"
    ]
