"""Which names of a project hold instances of the package's classes."""

from pathlib import Path

import pytest

from .projects import hits

OLD = """
class A(Exception):
    def run(self): pass
    def stay(self): pass
    def __init__(self):
        self.a = 1
"""
NEW = OLD.replace("run", "go")
HEAD = "import lib\nfrom lib import A\n"

HELD = {
    "set later": "class P:\n  def f(self): self.a.run()\n  def __init__(self): self.a = A()\n",
    "set later with a type": "class P:\n  def f(self): self.a.run()\n  def g(self, a):\n    self.a: A = a\n",
    "none at first": "class P:\n  def __init__(self): self.a = None\n  def f(self): self.a.run()\n"
    "  def g(self): self.a = lib.A()\n",
    "declared": "class P:\n  a: lib.A\n  def f(self): self.a.run()\n",
    "made in the class": "class P:\n  a = lib.A()\n  def f(self): self.a.run()\n",
    "from outside": "class P:\n  a: lib.A\ndef f(p: P): pass\nP().a.run()\n",
    "own function": "def get() -> A: ...\nget().run()\n",
    "own function without a type": "def get():\n  return lib.A()\nx = get()\nx.run()\n",
    "through another": "def make():\n  return A()\ndef get():\n  return make()\nget().run()\n",
    "own method": "class P:\n  def get(self) -> 'A | None': ...\n  def f(self): self.get().run()\n",
    "own property": "class P:\n  @property\n  def a(self): return A()\n  def f(self): self.a.run()\n",
    "own function with many": "def get() -> list[A]: ...\nfor a in get(): a.run()\n",
    "list": "for a in [A(), A()]:\n  a.run()\n",
    "comprehension": "xs = [A() for _ in range(3)]\nxs[0].run()\n",
    "enumerated": "for i, a in enumerate([A()]):\n  a.run()\n",
    "values": "d: dict[str, A] = {}\nfor a in d.values(): a.run()\n",
    "items": "def f(d: dict[str, A]):\n  for k, a in d.items(): a.run()\n",
    "looked up": "def f(d: 'dict[str, A] | None'):\n  d['x'].run()\n",
    "got": "def f(d: dict[str, A]):\n  d.get('x').run()\n",
    "walrus": "if (a := A()):\n  a.run()\n",
    "caught": "try:\n  pass\nexcept lib.A as e:\n  e.run()\n",
}


@pytest.mark.parametrize("what", HELD)
def test_what_holds_an_instance(what: str, tmp_path: Path):
    """Attributes of the project's classes, results of its functions, what containers hold."""
    found = hits(tmp_path, HEAD + HELD[what], OLD, NEW)
    assert [(hit.rule, hit.level) for hit in found] == [("member-gone", "error")]


QUIET = {
    "two are set": "class P:\n  def f(self): self.a.run()\n  def g(self): self.a = A()\n  def h(self, x): self.a = x\n",
    "a local name": "class P:\n  def f(self): self.a.run()\n  def g(self, A): self.a = A()\n",
    "the keys": "def f(d: dict[A, str]):\n  for a in d.values(): a.run()\n",
    "inner lists": "def f(d: dict[str, list[A]]):\n  for a in d.values(): a.run()\n",
    "others beside": "for a in [A(), object()]:\n  a.run()\n",
    "another in the comprehension": "xs = [A() for A in range(3)]\nxs[0].run()\n",
    "a generator": "def get():\n  yield 1\n  return A()\nget().run()\n",
    "a decorator": "@far\ndef get() -> A: ...\nget().run()\n",
    "the caught ends": "try:\n  pass\nexcept ValueError as A:\n  A().run()\n",
    "members that stay": "for a in [A()]:\n  a.stay()\n  a.a\n",
}


@pytest.mark.parametrize("why", QUIET)
def test_nothing_is_said_where(why: str, tmp_path: Path):
    """It may be something else."""
    assert [hit.rule for hit in hits(tmp_path, HEAD + QUIET[why], OLD, NEW)] == []
