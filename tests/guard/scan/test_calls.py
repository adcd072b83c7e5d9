"""Calls that are not written as such: made by something else, or by a statement."""

from pathlib import Path

import pytest

from .projects import hits

OLD = """
class A:
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def __iter__(self): return iter(())
    def __getitem__(self, key): return key
    def __call__(self, x, y=1): pass
    def f(self, a, b=1): pass
    g = f
def f(a, b=1): pass
shared = A()
h = shared.f
"""
NEW = OLD.replace(", b=1", "")


def without(name: str) -> str:
    return "\n".join(line for line in OLD.splitlines() if f"def __{name}__" not in line)


FOUND = {
    "partial": ("partial(f, b=2)", NEW, "argument-gone"),
    "partial by position": ("functools.partial(f, 1, 2)", NEW, "argument-gone"),
    "thread": ("Thread(target=f, kwargs={'b': 2})", NEW, "argument-gone"),
    "thread by position": ("threading.Thread(target=lib.f, args=(1, 2))", NEW, "argument-gone"),
    "in another thread": ("asyncio.to_thread(f, 1, b=2)", NEW, "argument-gone"),
    "other name of a method": ("A().g(1, b=2)", NEW, "argument-gone"),
    "other name of a bound method": ("lib.h(1, b=2)", NEW, "argument-gone"),
    "shared": ("lib.shared.f(1, b=2)", NEW, "argument-gone"),
    "splatted": (
        "class P:\n  def __init__(self): self.a = lib.shared\n  def go(self): self.a.f(1, **{'b': 2})",
        NEW,
        "",
    ),
    "splatted to an instance": ("O = dict(b=2)\na = A()\na.f(1, **O)", NEW, "argument-gone"),
    "with": ("with A() as a: pass", without("enter"), "member-gone"),
    "for": ("for x in A(): pass", without("iter").replace("__getitem__", "get"), "member-gone"),
    "item": ("a = A()\na[1]", without("getitem"), "member-gone"),
    "call": ("A()(1)", without("call"), "member-gone"),
    "arguments of a call": ("a = A()\na(1, y=2)", OLD.replace(", y=1", ""), "argument-gone"),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_no_longer_works(what: str, tmp_path: Path):
    """Arguments that are passed on, special methods that statements call."""
    code, new, rule = FOUND[what]
    found = hits(tmp_path, f"import lib\nfrom lib import A, f\n{code}\n", OLD, new)
    assert [(hit.rule, hit.level) for hit in found] == [(rule or "argument-gone", "error")]


QUIET = {
    "more may follow": ("partial(f)", NEW.replace("def f(a)", "def f(a, c)")),
    "unknown arguments": ("Thread(target=f, kwargs=options)", NEW.replace("def f(a)", "def f(a, c)")),
    "it is still there": ("with A() as a: pass\nfor x in A(): pass\nA()(1)\nA()[1]", NEW),
    "items serve": ("for x in A(): pass", without("iter")),
}


@pytest.mark.parametrize("why", QUIET)
def test_nothing_is_said_where(why: str, tmp_path: Path):
    """The call may still be made."""
    code, new = QUIET[why]
    assert [hit.rule for hit in hits(tmp_path, f"import lib\nfrom lib import A, f\n{code}\n", OLD, new)] == []
