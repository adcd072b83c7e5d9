"""Bases that leave more to their subclasses in another version."""

from pathlib import Path

import pytest

from .projects import hits

HEAD = "from abc import ABC, abstractmethod\n"
OLD = f"""{HEAD}
class B(ABC):
    @abstractmethod
    def a(self): ...
    def b(self): pass
class C(ABC):
    def a(self): pass
"""
NEW = OLD.replace("    def b(", "    @abstractmethod\n    def b(").replace(
    "C(ABC):\n", "C(ABC):\n    @abstractmethod\n"
)
UNKNOWN = NEW.replace("ABC)", "far.Base)").replace(HEAD, f"{HEAD}import far\n")
PLAIN = NEW.replace("(ABC)", "")

FOUND = {
    "lacks it": ("class P(lib.B):\n  def a(self): pass\n", NEW, "error"),
    "lacks it, further down": ("class O(lib.B): pass\nclass P(O):\n  def a(self): pass\n", NEW, "error"),
    "is made": ("lib.C()\n", NEW, "error"),
    "a metaclass that is not known": ("class P(lib.B):\n  def a(self): pass\n", UNKNOWN, "warning"),
    "a base that is not known": ("import far\nclass P(lib.B, far.X):\n  def a(self): pass\n", NEW, "warning"),
}


@pytest.mark.parametrize("what", FOUND)
def test_a_class_that_cannot_be_made(what: str, tmp_path: Path):
    """An error where Python refuses for certain."""
    code, new, level = FOUND[what]
    found = hits(tmp_path, f"import lib\n{code}", OLD, new)
    assert [(hit.rule, hit.level) for hit in found if hit.rule == "abstract-new"] == [("abstract-new", level)]


QUIET = {
    "it has it": ("class P(lib.B):\n  def a(self): pass\n  def b(self): pass\n", NEW),
    "a mixin has it": ("class M:\n  def b(self): pass\nclass P(M, lib.B):\n  def a(self): pass\n", NEW),
    "it is abstract itself": ("import abc\nclass P(lib.B):\n  @abc.abstractmethod\n  def c(self): pass\n", NEW),
    "nothing checks it": ("class P(lib.B):\n  def a(self): pass\n", PLAIN),
    "it was abstract before": ("lib.B()\n", NEW),
}


@pytest.mark.parametrize("why", QUIET)
def test_nothing_is_said_where(why: str, tmp_path: Path):
    """It can be made, or never could."""
    code, new = QUIET[why]
    assert "abstract-new" not in [hit.rule for hit in hits(tmp_path, f"import lib\n{code}", OLD, new)]
