"""Pairs of small modules: what is told about each, and what is not."""

from pathlib import Path

import pytest

from sternpost.guard.diff import compare
from sternpost.guard.extract import extract
from sternpost.guard.findings import MAX_LISTED, Finding, judge
from sternpost.guard.report import FORMATS
from sternpost.guard.snapshot import FORMER, HEADER, parse, render

from . import trees

INTERNAL = {"pyproject.toml": f"{trees.PYPROJECT}internal = true\n"}
OPTIONS = """
from typing import TypedDict, Unpack
class _Base(TypedDict):
    c: int
class Options(_Base, total=False):
    b: int
"""
CLASS = "from dataclasses import dataclass\n@dataclass\nclass A:\n    a: int\n    b: int = 1\n"
ABSTRACT = "from abc import ABC, abstractmethod\nfrom typing import Protocol\n"
WARNS = """
import warnings
class A:
    @property
    def f(self):
        warnings.warn("`f` will be removed in 2.0", DeprecationWarning)
    @f.setter
    def f(self, value): ...
"""
ASKED = """
import warnings
__all__ = ["f", "x"]
_OLD = {"f": "g"}
x = 1
def f(): ...
def __getattr__(name):
    if name == "f":
        warnings.warn("`f` will be removed in 2.0", DeprecationWarning)
"""
TAKES = """
def _take(function):
    def inner(*args, **kw):
        print(kw.pop("b", 1))
        return function(*args, **kw)
    return inner
"""
NEEDED = "    @abstractmethod\n    def b(self): ..."
TUPLE = "from collections import namedtuple\nT = namedtuple('T', {})"


def findings(root: Path, old: str, new: str, internal: bool = False, version: str | None = None) -> list[Finding]:
    more = INTERNAL if internal else {}
    sides = [trees.project(root / n, more | {"lib/__init__.py": text}) for n, text in (("old", old), ("new", new))]
    return judge(compare(*(extract(side) for side in sides), version))


def breaks(root: Path, old: str, new: str, internal: bool = False) -> list[str]:
    return [f"{f.rule} {f.subject}" for f in findings(root, old, new, internal) if f.blocking]


BROKEN = [
    # by place alone
    ("def f(__a, b=1): ...", "def f(a, /): ...", ["argument-removed lib.f(b)"]),
    ("def f(a, b=1): ...", "def f(__a, b=1): ...", ["argument-renamed lib.f(a)"]),
    ("def f(__a=1): ...", "def f(x=2, /): ...", ["argument-default-changed lib.f(__a)"]),
    ("def f(__a, b): ...", "def f(b): ...", ["argument-removed lib.f(__a)"]),
    # taken by keywords
    (
        f"{OPTIONS}def f(a, b=1): ...",
        f"{OPTIONS}def f(a, **kw: Unpack[Options]): ...",
        ["argument-kind-changed lib.f(b)"],
    ),
    ("def f(*, b=1, d=2): ...", "def f(**kw):\n    return kw.pop('b')", ["argument-removed lib.f(d)"]),
    # asynchronous, abstract
    ("def f(): ...", "async def f(): ...", ["method-async-changed lib.f"]),
    ("async def f(): ...", "def f(): ...", ["method-async-changed lib.f"]),
    (
        f"{ABSTRACT}class A(ABC):\n    def a(self): ...",
        f"{ABSTRACT}class A(ABC):\n    @abstractmethod\n    def a(self): ...\n\n{NEEDED}",
        ["method-abstract lib.A.a", "method-abstract lib.A.b"],
    ),
    (
        f"{ABSTRACT}class A(Protocol):\n    def a(self): ...",
        f"{ABSTRACT}class A(Protocol):\n    def a(self): ...\n    def b(self): ...",
        ["method-abstract lib.A.b"],
    ),
    # what makes an instance
    (
        "class A:\n    def __new__(cls, a, b=1): ...",
        "class A:\n    def __new__(cls, a): ...",
        ["argument-removed lib.A(b)"],
    ),
    (CLASS, "class A:\n    def __new__(cls, a, **kw): ...", ["field-removed lib.A.b"]),
    (TUPLE.format("'a b'"), TUPLE.format("['a']"), ["field-removed lib.T.b"]),
    (TUPLE.format("'a, b'"), TUPLE.format("'a b c', defaults=(1,)"), ["tuple-grown lib.T"]),
    (
        "from collections import namedtuple\nclass T(namedtuple('T', 'a b')): ...",
        "from collections import namedtuple\nclass T(namedtuple('T', 'a')): ...",
        ["field-removed lib.T.b"],
    ),
    # methods that are something else
    ("class A:\n    def f(self, a): ...", "class A:\n    f = 3", ["method-kind-changed lib.A.f"]),
    ("class A:\n    def f(self, a): ...", "class A:\n    def g(self): ...\n    f = g", ["argument-removed lib.A.f(a)"]),
    # classes in classes
    ("class A:\n    class B: ...", "class A: ...", ["name-removed lib.A.B"]),
    ("class A:\n    class B: ...", "class C:\n    x = 1", ["name-removed lib.A"]),
    ("class A:\n    class B:\n        x = 1", "class A:\n    class B: ...", ["attribute-removed lib.A.B.x"]),
    # no switch is another's name
    ("def f(mix: bool = True): ...", "def f(catch: bool = True): ...", ["argument-removed lib.f(mix)"]),
    ("def f(steps: int = 7): ...", "def f(rounds: int = 7): ...", ["argument-renamed lib.f(steps)"]),
]
KEPT = [
    ("def f(__a): ...", "def f(a, /): ..."),
    ("def f(__a): ...", "def f(a): ..."),
    ("class A:\n    def f(__self, __a, **kw): ...", "class A:\n    def f(self, a, /, **kw): ..."),
    ("def f(a, b, /): ...", "def f(*args): ..."),
    (f"{OPTIONS}def f(*, b=1, c): ...", f"{OPTIONS}def f(**kw: 'Unpack[Options]'): ..."),
    ("def f(*, b=1, c=1, d=1): ...", "def f(**kw):\n    kw.pop('b', 2)\n    return kw.get('c') or kw['d']"),
    (
        "def f(a, *, b=1): ...",
        f"{TAKES}@_take\ndef f(a, **kw): ...",
    ),
    (f"{OPTIONS}def f(**kw: Unpack[Options]): ...", f"{OPTIONS}def f(**kw): ..."),
    ("def f(**kw):\n    return kw.pop('b')", "def f(**kw):\n    return g(**kw)"),
    (
        "class A:\n    def a(self): ...",
        "from abc import abstractmethod\nclass A:\n    @abstractmethod\n    def a(self): ...",
    ),
    (
        f"{ABSTRACT}class A(ABC):\n    @abstractmethod\n    def a(self): ...",
        f"{ABSTRACT}class A(ABC):\n    def a(self): ...\n    def b(self): ...",
    ),
    (CLASS, "class A:\n    def __new__(cls, a, b=1, **kw): ..."),
    ("class A:\n    def f(self, a): ...", "class A:\n    def g(self, a): ...\n    f = g"),
    ("class A:\n    @property\n    def f(self): ...", "class A:\n    f = 3"),
    ("class A:\n    def f(self): ...", "class A:\n    f = other()"),
    ("class A:\n    @property\n    def f(self): ...", "class A:\n    @both\n    @classmethod\n    def f(cls): ..."),
    ("from typing import TypeVar\nT = TypeVar('T')\nx = 1", "x = 1"),
    ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .sub import A\nx = 1", "x = 1"),
    ("try:\n    from old import f\nexcept ImportError:\n    def f(): ...\nx = 1", "x = 1"),
    (
        "import sys\nif sys.version_info >= (3, 11):\n    from typing import Self\nelse:\n    Self = None\nx = 1",
        "x = 1",
    ),
    (
        "from enum import Enum\nclass E(Enum):\n    def __new__(cls, a, b): ...",
        "from enum import Enum\nclass E(Enum): ...",
    ),
]


@pytest.mark.parametrize(("old", "new", "told"), BROKEN)
def test_what_breaks(old: str, new: str, told: list[str], tmp_path: Path):
    """One break for each cause, whether or not the internal is stated too."""
    assert breaks(tmp_path / "public", old, new) == told
    assert breaks(tmp_path / "all", old, new, internal=True) == told


@pytest.mark.parametrize(("old", "new"), KEPT)
def test_what_breaks_nobody(old: str, new: str, tmp_path: Path):
    """Every call, import and implementation that worked still does, as far as anything was promised."""
    assert breaks(tmp_path / "public", old, new) == []
    assert breaks(tmp_path / "all", old, new, internal=True) == []


def test_names_that_stand_in_are_promised_where_they_are_declared(tmp_path: Path):
    """By `__all__`, or where the import that fails is one of the package's own."""
    old = "__all__ = ['T']\nfrom typing import TypeVar\nT = TypeVar('T')"
    assert breaks(tmp_path / "declared", old, "__all__ = []") == ["name-removed lib.T"]
    own = "try:\n    from ._fast import f\nexcept ImportError:\n    def f(): ...\nx = 1"
    assert breaks(tmp_path / "own", own, "x = 1") == ["name-removed lib.f"]


def test_imports_for_type_checkers_are_promised_where_they_list_what_is_lazy(tmp_path: Path):
    """A module that makes its names when they are asked for can be asked for those."""
    lazy = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .sub import A\n"
    lazy += "else:\n    import sys\n    sys.modules[__name__] = Lazy()\n"
    files = {"lib/__init__.py": lazy, "lib/sub.py": "__all__ = []\nclass A: ..."}
    facts = trees.lines(extract(trees.project(tmp_path / "lazy", files)))
    assert "class lib.A tier=stable" in facts
    files["lib/__init__.py"] = lazy.partition("else")[0]
    facts = trees.lines(extract(trees.project(tmp_path / "plain", files)))
    assert "class lib.A tier=internal" in facts


@pytest.mark.parametrize(
    ("old", "subject"),
    [(WARNS, "lib.A.f"), (ASKED, "lib.f"), (ASKED.replace('== "f"', "in _OLD").replace("`f`", "it"), "lib.f")],
)
def test_removals_that_were_announced(old: str, subject: str, tmp_path: Path):
    """By a property that warns, or by a module that is asked for the name."""
    new = "class A:\n    def g(self): ..." if "class" in old else "__all__ = ['x']\nx = 1"
    told = {f.subject: f for f in findings(tmp_path, old, new, version="2.0.0")}
    assert (told[subject].bump, "announced for 2.0" in told[subject].says) == ("minor", True)
    told = {f.subject: f for f in findings(tmp_path / "early", old, new, version="1.9")}
    assert told[subject].blocking


def test_a_public_base_and_its_heirs_are_one_finding(tmp_path: Path):
    """The base is named first, wherever it stands in the alphabet; an heir with its own method is another cause."""
    old = "class M:\n    def f(self, a): ...\nclass A(M): ...\nclass B(M): ...\nclass C(M):\n    def f(self, a): ..."
    (own, base) = findings(tmp_path, old, old.replace("a)", "a, b)"))
    assert (base.subject, base.also) == ("lib.M.f(b)", ("lib.A.f(b)", "lib.B.f(b)"))
    assert (own.subject, own.also) == ("lib.C.f(b)", ())


def test_what_is_promised_is_told_before_what_is_not(tmp_path: Path):
    """Of a private base and its public heir the heir is the subject, or the break would block nothing."""
    old = "class _M:\n    def f(self, a): ...\nclass Z(_M): ..."
    (told,) = findings(tmp_path, old, old.replace("a)", "a, b)"), internal=True)
    assert (told.subject, told.also, told.blocking) == ("lib.Z.f(b)", ("lib._M.f(b)",), True)


def test_an_argument_that_siblings_lost_is_told_once(tmp_path: Path):
    """From three callables of a module on, if it was the same argument."""
    text = "def f(*, cert: int = 1): ...\ndef g(*, cert: int = 1): ...\n"
    more = f"{text}def h(*, cert: int = 1): ...\ndef i(*, cert: int = 2): ...\n"
    gone = [part.replace("*, cert: int = 1", "").replace("*, cert: int = 2", "") for part in (text, more)]
    assert len(findings(tmp_path / "two", text, gone[0])) == 2
    told = findings(tmp_path / "more", more, gone[1])
    assert [(f.subject, f.also) for f in told] == [
        ("lib.f(cert)", ("lib.g(cert)", "lib.h(cert)")),
        ("lib.i(cert)", ()),
    ]


@pytest.mark.parametrize("form", ["text", "markdown", "html", "github"])
def test_long_lists_are_counted(form: str, tmp_path: Path):
    """The data have all names, people get the first."""
    names = [f"name{i:03}" for i in range(MAX_LISTED + 7)]
    module = f"__all__ = {names}\n" + "".join(f"{name} = 1\n" for name in names)
    verdict = trees.checked(tmp_path, {"lib/__init__.py": "", "lib/sub.py": module}, {"lib/__init__.py": ""})
    told = FORMATS[form](verdict)
    assert names[-1] not in told
    assert ("and 7 more" in told) is (form != "github")
    assert names[-1] in FORMATS["json"](verdict)


def test_snapshots_of_an_older_guard_are_compared_by_what_they_state(tmp_path: Path):
    """They do not say what is asynchronous or abstract, nor what `__new__` and named tuples take."""
    source = f"{ABSTRACT}async def f(): ...\nclass A(ABC):\n    @abstractmethod\n    def a(self): ...\n"
    source += f"class N:\n    def __new__(cls, a): ...\n{TUPLE.format(repr('a b'))}\n"
    new = trees.module(tmp_path, source)
    stated = "constant lib.T", "class lib.N", "field lib.T", "param lib.N", "function", "method"
    former = "\n".join(
        line.split(" gives=")[0].split(" order=a")[0].replace(" async=yes", "").replace(" abstract=yes", "")
        for line in render(new.facts).splitlines()[1:]
        if not line.startswith(stated[2:4])
    )
    assert [f.rule for f in judge(compare(parse(f"{FORMER}\n{former}\n", "0.txt"), new)) if f.blocking] == []
    told = {f.rule for f in judge(compare(parse(f"{HEADER}\n{former}\n", "1.txt"), new)) if f.blocking}
    assert {"method-async-changed", "method-abstract", "argument-added-required", "field-added-required"} <= told
