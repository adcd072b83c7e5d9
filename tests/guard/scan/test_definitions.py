"""Several definitions of one name, and names that a module makes up."""

from pathlib import Path

import pytest

from .projects import hits, library, rules

WIDE = "def f(a, b=None): ...\n"
NARROW = "def f(a): ...\n"
OVERLOADS = "from typing import overload\n@overload\ndef f(a: int): ...\n@overload\ndef f(a: str, b: int): ...\n"
BRANCHES = "if x:\n    def f(a): ...\nelse:\n    {}\n"

LAST = {
    "overloads": OVERLOADS + "{}",
    "an earlier one": "def f(z): ...\nf0 = f\n{}",
    "another kind before": "f = None\n{}",
    "both branches": "if x:\n    {0}\nelse:\n    {0}",
    "a block of its own": "if x:\n    def f(z): ...\n    {}",
    "only for type checkers": "if TYPE_CHECKING:\n    from other import f\nelse:\n    {}",
}


@pytest.mark.parametrize("how", sorted(LAST))
def test_the_last_definition_counts(how: str, tmp_path: Path):
    """A call that it takes is right, whatever stood there before; one that it does not take is told."""
    code = "import lib\nlib.f('x', b=2)\n"
    wide, narrow = (LAST[how].format(text.strip()) + "\n" for text in (WIDE, NARROW))
    assert not hits(tmp_path / "right", code, WIDE, wide)
    assert rules(hits(tmp_path / "wrong", code, wide, narrow)) == ["argument-gone"]


def test_a_call_that_one_branch_takes_only_warns(tmp_path: Path):
    """Which of two branches is taken depends on the machine."""
    code = "import lib\nlib.f('x')\n"
    (hit,) = hits(tmp_path / "one", code, WIDE, BRANCHES.format("def f(a, b): ..."))
    assert (hit.rule, hit.level) == ("argument-required", "warning")
    (hit,) = hits(tmp_path / "none", code, WIDE, BRANCHES.format("def f(a, b): ...").replace("f(a):", "f(a, b):"))
    assert (hit.rule, hit.level) == ("argument-required", "error")


def test_methods_in_branches(tmp_path: Path):
    """The same inside a class; accessors of one property are one definition."""
    method = "class A:\n    if x:\n        def f(self, a): ...\n    else:\n        def f(self, a, b=1): ...\n"
    plain = "class A:\n    def f(self, a, b=1): ...\n"
    assert not hits(tmp_path, "from lib import A\nA().f(1, b=2)\n", plain, method)


def test_a_definition_that_builds_on_the_one_before_keeps_it(tmp_path: Path):
    """`class A(A)` in a project still derives from the package."""
    code = "from lib import A\nclass A(A):\n    def m(self):\n        return self.n()\n"
    assert rules(hits(tmp_path, code, "class A:\n    def n(self): ...\n", "class A: ...\n")) == ["member-gone"]


GETTER = "TABLE = {'f': '.a'}\ndef __getattr__(name):\n"
ANSWERS = {
    "what another module makes": ("DOCS = {'a': 'b.c'}\n__getattr__ = migrate(__name__)\n", "warning"),
    "a fallback that is not followed": (
        f"{GETTER}    it = TABLE.get(name)\n    if it is None:\n        return old(name)\n    return get(it)\n",
        "warning",
    ),
    "names of another object": (f"{GETTER}    if hasattr(x, name):\n        return x\n    raise Error\n", "warning"),
    "names made in a loop": ("for name in NAMES:\n    globals()[name] = make(name)\n", ""),
    "something else in its place": ("import sys\nsys.modules[__name__] = Proxy()\n", ""),
    "a table and nothing else": (f"{GETTER}    if name in TABLE:\n        return 1\n    raise Error\n", "error"),
    "a table that is asked": (
        f"{GETTER}    if (found := TABLE.get(name)) is None:\n        raise AttributeError\n    return get(found)\n",
        "error",
    ),
    "a table that raises": (
        f"{GETTER}    try:\n        return get(TABLE[name])\n    except KeyError:\n        raise Error from None\n",
        "error",
    ),
    "one name": (f"{GETTER}    if name == 'f':\n        return 1\n    raise AttributeError\n", "error"),
    "a dictionary that nothing asks": ("DOCS = {'pad': 'b.c'}\n", "error"),
}


@pytest.mark.parametrize("how", sorted(ANSWERS))
def test_names_that_a_module_makes_up_are_not_said_to_be_gone(how: str, tmp_path: Path):
    """For certain only where all that it may answer for is written down; a warning where `__getattr__` decides."""
    text, level = ANSWERS[how]
    found = hits(tmp_path, "from lib import pad\n", "def pad(): ...\n", text)
    assert [(hit.rule, hit.level) for hit in found] == ([("name-gone", level)] if level else [])


@pytest.mark.parametrize("init", ["from ._fast import f\n", "from . import _fast\nf = _fast.f\n"])
def test_compiled_modules_may_have_anything(init: str, tmp_path: Path):
    """An import from a module that is no Python file; what a Python file does not define is gone."""
    assert not hits(tmp_path / "compiled", "from lib import f\nf(1)\n", WIDE, init)
    new = {"lib/__init__.py": "from ._fast import f\n", "lib/_fast.py": ""}
    assert rules(hits(tmp_path / "python", "from lib import f\n", WIDE, new))[:1] == ["name-gone"]


def test_a_module_that_puts_another_in_its_place(tmp_path: Path):
    """Its names are those of the other one."""
    shim = "import sys\nfrom . import b\nsys.modules[__name__] = b\n"
    old = {"lib/__init__.py": "", "lib/a.py": WIDE}
    code = "from lib.a import f\nf(1, b=2)\n"
    assert not hits(tmp_path / "same", code, old, {"lib/__init__.py": "", "lib/a.py": shim, "lib/b.py": WIDE})
    new = {"lib/__init__.py": "", "lib/a.py": shim, "lib/b.py": NARROW}
    assert rules(hits(tmp_path / "other", code, old, new)) == ["argument-gone"]


def test_names_that_a_module_deletes(tmp_path: Path):
    """They are not there for others; a project may still delete what it has used."""
    code = "import lib\nlib.f(1)\ndel lib\n"
    assert rules(hits(tmp_path / "gone", code, WIDE, f"{WIDE}del f\n")) == ["name-gone"]
    assert not hits(tmp_path / "back", code, WIDE, f"{WIDE}del f\n{WIDE}")
    assert not hits(tmp_path / "maybe", code, WIDE, f"{WIDE}if x:\n    del f\n")


def test_a_lazy_name_that_is_an_attribute_of_a_value(tmp_path: Path):
    """`run = api.run` in the module that a table names: there, and gone with its line."""
    lazy = "TABLE = {'run': 'api'}\n__getattr__, __dir__, __all__ = lazy.attach(__name__, TABLE)\n"
    old = {"lib/__init__.py": lazy, "lib/api.py": "class A:\n    def run(self): ...\napi = A()\nrun = api.run\n"}
    new = {**old, "lib/api.py": old["lib/api.py"].replace("run = api.run\n", "")}
    assert rules(hits(tmp_path, "from lib import run\n", old, new)) == ["name-gone"]


def test_a_star_import_of_another_library_hides_nothing(tmp_path: Path):
    """What the package's own star imports bring comes first."""
    text = "from torch import *\nfrom .a import *\n"
    found = library(tmp_path, {"lib/__init__.py": text, "lib/a.py": WIDE}, "1.0").one("lib.f")
    assert getattr(found, "path", None) == "lib.a.f"
