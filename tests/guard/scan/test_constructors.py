"""Constructors that Python writes itself, between two versions."""

from pathlib import Path

import pytest

from .projects import hits

DATA = "from dataclasses import KW_ONLY, dataclass, field\n@dataclass{}\nclass D:\n    a: int\n{}    b: int = 1\n"
PLAIN = DATA.format("", "")
ATTRS = "import attrs\n@attrs.define\nclass D:\n    a: int\n    _b: int = attrs.field(default=1)\n"
OLD_ATTRS = "import attr\n@attr.s\nclass D(object):\n    a = attr.ib()\n    b = attr.ib(default=1)\n"
TUPLE = "from collections import namedtuple\nD = namedtuple('D', 'a b')\n"
TYPED = "from typing import NamedTuple\nD = NamedTuple('D', [('a', int), ('b', int)])\n"
GIVEN = "from typing import NamedTuple\nclass T(NamedTuple):\n    a: int\n    b: int\ndef f() -> T: ...\n"

CHANGES = {
    "keywords only": (PLAIN, DATA.format("(kw_only=True)", ""), "lib.D(1, 2)", "argument-gone"),
    "keywords only, from here on": (PLAIN, DATA.format("", "    _: KW_ONLY\n"), "lib.D(1, 2)", "argument-gone"),
    "one keyword": (PLAIN, PLAIN.replace("= 1", "= field(default=1, kw_only=True)"), "lib.D(1, 2)", "argument-gone"),
    "computed": (PLAIN, PLAIN.replace("= 1", "= field(default=1, init=False)"), "lib.D(1, b=2)", "argument-gone"),
    "attrs": (ATTRS, ATTRS.replace("_b", "_c"), "lib.D(1, b=2)", "argument-gone"),
    "attrs, required": (ATTRS, ATTRS.replace("default=1", ""), "lib.D(1)", "argument-required"),
    "older attrs": (OLD_ATTRS, OLD_ATTRS.replace("b =", "c ="), "lib.D(1, b=2)", "argument-gone"),
    "named tuple": (TUPLE, TUPLE.replace("a b", "a"), "lib.D(a=1, b=2)", "argument-gone"),
    "named tuple, more": (TUPLE, TUPLE.replace("'a b'", "['a', 'b', 'c']"), "lib.D(1, 2)", "argument-required"),
    "named tuple with types": (TYPED, TYPED.replace("'b'", "'c'"), "lib.D(a=1, b=2)", "argument-gone"),
    "taken apart": (GIVEN, GIVEN.replace("b: int", "b: int\n    c: int"), "x, y = lib.f()", "result-changed"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_call_that_no_longer_fits(what: str, tmp_path: Path):
    """By the fields, their order, and how each may be given."""
    old, new, code, rule = CHANGES[what]
    found = hits(tmp_path, f"import lib\n{code}\n", old, new)
    assert rule in [hit.rule for hit in found]


QUIET = {
    "by name": (PLAIN, DATA.format("(kw_only=True)", ""), "lib.D(a=1, b=2)"),
    "before the mark": (PLAIN, DATA.format("", "    _: KW_ONLY\n"), "lib.D(1, b=2)"),
    "private in attrs": (ATTRS, ATTRS.replace("_b", "b"), "lib.D(1, b=2)"),
    "no attrs": (
        "def define(c): return c\n@define\nclass D:\n    a: int\n",
        "def define(c): return c\nclass D:\n    a: int\n",
        "lib.D()",
    ),
    "as many": (GIVEN, GIVEN.replace("b: int", "c: int"), "x, y = lib.f()"),
}


@pytest.mark.parametrize("why", QUIET)
def test_nothing_is_said_where(why: str, tmp_path: Path):
    """The call fits."""
    old, new, code = QUIET[why]
    assert [hit.rule for hit in hits(tmp_path, f"import lib\n{code}\n", old, new)] == []
