"""Where in a project's syntax the package is met."""

from pathlib import Path

import pytest

from .projects import hits

OLD = "class E(Exception):\n    pass\nclass X:\n    pass\n"
FUTURE = "from __future__ import annotations\n"

PLACES = {
    "except": ("import lib\ntry:\n    pass\nexcept lib.E:\n    pass\n", "error"),
    "several": (
        "import lib\ndef f():\n    try:\n        pass\n    except (ValueError, lib.E):\n        pass\n",
        "error",
    ),
    "argument": ("import lib\ndef f(x: lib.E): pass\n", "error"),
    "result": ("import lib\nasync def f() -> list[lib.E] | None: pass\n", "error"),
    "variable": ("import lib\nx: lib.E\n", "error"),
    "field": ("import lib\nclass C:\n    x: lib.E = None\n", "error"),
    "base keyword": ("import lib\nclass C(metaclass=lib.E): pass\n", "error"),
    "decorator": ("import lib\n@lib.E\ndef f(): pass\n", "error"),
    "quoted": ("import lib\ndef f(x: 'lib.E'): pass\n", "note"),
    "quoted inside": ("import lib\ndef f(x: list['lib.E']): pass\n", "note"),
    "local": ("import lib\ndef f():\n    x: lib.E\n", "note"),
    "postponed": (f"{FUTURE}import lib\ndef f(x: lib.E): pass\n", "note"),
    "postponed field": (f"{FUTURE}import lib\nclass C:\n    x: lib.E\n", "note"),
    "for type checkers": ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lib import E\n", "note"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_lost_name_is_seen_in(place: str, tmp_path: Path):
    """An error where Python looks it up, a note where only type checkers do."""
    code, level = PLACES[place]
    found = hits(tmp_path, code, OLD, OLD.replace("class E", "class F"))
    assert [(hit.rule, hit.level) for hit in found] == [("name-gone", level)]


def test_literals_in_annotations_are_no_keys(tmp_path: Path):
    """`Literal["lib.E"]` names nothing."""
    code = "import lib\nfrom typing import Literal\ndef f(x: Literal['lib.E']) -> lib.X: pass\n"
    assert hits(tmp_path, code, OLD, OLD.replace("class E", "class F")) == []
