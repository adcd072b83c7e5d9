"""Code that a plain reading gets wrong: what moved, what depends, what nobody meant to offer."""

from pathlib import Path

import pytest

from sternpost.guard.diff import compare
from sternpost.guard.extract import extract
from sternpost.guard.findings import Finding, judge

from . import trees

INTERNAL = {"pyproject.toml": trees.PYPROJECT + "internal = true\n"}


def findings(tmp_path: Path, old: dict[str, str], new: dict[str, str]) -> list[Finding]:
    sides = [trees.project(tmp_path / name, INTERNAL | files) for name, files in (("old", old), ("new", new))]
    return judge(compare(*(extract(side) for side in sides)))


def breaks(tmp_path: Path, old: dict[str, str], new: dict[str, str]) -> list[str]:
    return [f"{finding.rule} {finding.subject}" for finding in findings(tmp_path, old, new) if finding.blocking]


TRAINER = "class T:\n    def log(self, logs): ...\n"
SHIMS = {
    "import": "from .b import T\n",
    "alias": "from . import b\nT = b.T\n",
    "star": "from .b import *\n",
    "tried": "try:\n    from .b import T\nexcept ImportError:\n    T = None\n",
    "chosen": "import sys\nif sys.version_info >= (3, 11):\n    from .b import T\nelse:\n    from .c import T\n",
    "lazy": "_HOMES = {'T': 'lib.b'}\ndef __getattr__(name): return load(_HOMES[name])\n",
    "named": "def __getattr__(name):\n    if name == 'T':\n        from .b import T\n        return T\n    raise name",
    "dynamic": "import importlib\ndef __getattr__(name): return getattr(importlib.import_module('lib.b'), name)\n",
    "subclass": "from .b import T as _T\nclass T(_T):\n    def __init__(self, *args, **kwargs):\n"
    "        super().__init__(*args, **kwargs)\n",
}


@pytest.mark.parametrize("shim", sorted(SHIMS))
def test_a_moved_class_behind_a_shim_is_there(shim: str, tmp_path: Path):
    """Whatever way the old module takes to give it."""
    old = {"lib/__init__.py": "", "lib/a.py": TRAINER}
    new = {"lib/__init__.py": "", "lib/a.py": SHIMS[shim], "lib/b.py": TRAINER}
    assert breaks(tmp_path, old, new) == []


def test_a_moved_class_without_a_shim_is_a_rename(tmp_path: Path):
    """Told once, with the place where it is now."""
    old = {"lib/__init__.py": "", "lib/a.py": TRAINER + "def stays(): ...\n"}
    new = {"lib/__init__.py": "", "lib/a.py": "def stays(): ...\n", "lib/b.py": TRAINER}
    assert breaks(tmp_path, old, new) == ["name-renamed lib.a.T"]
    (finding,) = [finding for finding in findings(tmp_path / "again", old, new) if finding.blocking]
    assert "`lib.b.T` is probably the same thing" in finding.says


def test_a_shim_for_one_name_does_not_hide_others(tmp_path: Path):
    """Only what `__getattr__` asks for by name is there."""
    old = {"lib/__init__.py": "", "lib/a.py": TRAINER + "def f(): ...\n"}
    new = {"lib/__init__.py": "", "lib/a.py": SHIMS["named"], "lib/b.py": TRAINER}
    assert breaks(tmp_path, old, new) == ["name-removed lib.a.f"]


@pytest.mark.parametrize(
    "test",
    [
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
        "sys.version_info >= (3, 11)",
        "is_rich_available()",
        "sys.platform == 'x'",
    ],
)
def test_names_under_a_condition_are_there(test: str, tmp_path: Path):
    """Which of its branches is taken cannot be read: the name can be imported somewhere."""
    head = "import sys, typing\nfrom typing import TYPE_CHECKING\n__all__ = ['f', 'T']\n"
    text = f"{head}if {test}:\n    from .b import f, T\n"
    files = {"lib/__init__.py": text, "lib/b.py": TRAINER + "def f(a): ...\n"}
    found = trees.lines(extract(trees.project(tmp_path, files)))
    assert "function lib.f order=a tier=stable" in found
    assert "class lib.T tier=stable" in found


def test_what_a_module_imports_for_itself_is_recorded_and_blocks_nothing(tmp_path: Path):
    """Downstream code imports it all the same."""
    old = {
        "lib/__init__.py": "",
        "lib/a.py": "from .b import pad\nfrom torch import nn\ndef f(): return pad\n",
        "lib/b.py": "def pad(): ...\n",
    }
    new = old | {"lib/a.py": "def f(): ...\n"}
    found = [f for f in findings(tmp_path, old, new) if f.subject == "lib.a.pad"]
    assert [(finding.rule, finding.tier, finding.blocking) for finding in found] == [
        ("name-removed", "internal", False)
    ]


def test_bases_that_are_not_installed(tmp_path: Path):
    """No crash; what they add to the constructor is not known, and so no order of arguments is stated."""
    text = (
        "from dataclasses import dataclass\nfrom nowhere import Args, Trainer\n__all__ = ['C', 'T']\n"
        "@dataclass\nclass C(Args):\n    a: int = 1\nclass T(Trainer): ...\n"
    )
    found = trees.lines(trees.module(tmp_path, text))
    assert "class lib.C tier=stable" in found
    assert "class lib.T tier=stable" in found
    assert "base lib.C nowhere.Args" in found
    assert "field lib.C a default=1 type=int" in found


def test_attributes_that_subclasses_read(tmp_path: Path):
    """Set on `self` by the constructor: recorded, and their loss is told without blocking."""
    head = {"lib/__init__.py": "class T:\n    def __init__(self, model):\n        self.model = model\n"}
    new = {"lib/__init__.py": head["lib/__init__.py"].replace("self.model", "self.policy")}
    (finding,) = [f for f in findings(tmp_path, head, new) if f.rule.startswith("attribute")]
    assert (finding.subject, finding.blocking) == ("lib.T.model", False)


def test_a_package_that_imports_everything_exports_it(tmp_path: Path):
    """`from .a import *` gives what `__all__` there says, or what is open there, through any number of modules."""
    files = {
        "lib/__init__.py": "from .a import *\nfrom .b import *\n",
        "lib/a.py": "__all__ = ['f', '_g']\nimport os\ndef f(): ...\ndef _g(): ...\ndef h(): ...\n",
        "lib/b.py": "from .c import *\nfrom .b import *\ndef k(): ...\n",
        "lib/c.py": "from torch import nn\ndef m(x): ...\ndef _n(): ...\n",
    }
    found = extract(trees.project(tmp_path, files))
    assert {path for path in found.names if path.count(".") == 1} - {"lib.a", "lib.b", "lib.c"} == {
        *("lib.f", "lib._g", "lib.k", "lib.m"),
    }
