"""What is read or called, awaited or entered otherwise in another version."""

from pathlib import Path

import pytest

from .projects import hits

PROPERTY = "class A:\n    @property\n    def n(self) -> int:\n        return 1\n"
METHOD = "class A:\n    def n(self) -> int:\n        return 1\n"
CACHED = (
    "from functools import cached_property\nclass A:\n    @cached_property\n    def n(self) -> int:\n        return 1\n"
)
UNKNOWN = "class A:\n    @property\n    def n(self):\n        return self.x\n"
CONSTANT = "class A:\n    n = 1\n"
SYNC, ASYNC = "def f():\n    return 1\n", "async def f():\n    return 1\n"
TASK = "def f():\n    return g()\n"
CONTEXT = "from contextlib import contextmanager\n@contextmanager\ndef f():\n    yield 1\n"
LIST, YIELDS = "def f():\n    return [1]\n", "def f():\n    yield 1\n"
OBJECT = "class C:\n    def __enter__(self): return self\n    def __exit__(self, *a): pass\ndef f():\n    return C()\n"
STATIC = "class A:\n    @staticmethod\n    def n(x):\n        pass\n"
BOUND = "class A:\n    def n(self, x):\n        pass\n"

CHANGES = {
    "property to method": (PROPERTY, METHOD, "lib.A().n + 1", "error"),
    "property to method, kept": (UNKNOWN, METHOD, "x = lib.A().n", "warning"),
    "property to method, used": (UNKNOWN, METHOD, "x = lib.A().n + 1", "error"),
    "cached property to method": (CACHED, METHOD, "x = lib.A().n", "error"),
    "constant to method": (CONSTANT, METHOD, "x = lib.A().n", "error"),
    "method to property": (METHOD, PROPERTY, "lib.A().n()", "error"),
    "method to property, unknown": (METHOD, UNKNOWN, "lib.A().n()", "warning"),
    "on self": (PROPERTY, METHOD, "class P(lib.A):\n  def f(self): return self.n", "error"),
    "on self, called": (METHOD, PROPERTY, "class P(lib.A):\n  def f(self): return self.n()", "error"),
    "of what is given": (f"{PROPERTY}def f() -> A: ...", f"{METHOD}def f() -> A: ...", "x = lib.f().n", "error"),
    "async to sync": (ASYNC, SYNC, "async def m(): await lib.f()", "error"),
    "sync to async": (SYNC, ASYNC, "lib.f() + 1", "error"),
    "sync to async, left alone": (SYNC, ASYNC, "lib.f()", "error"),
    "sync to async, passed": (SYNC, ASYNC, "print(lib.f())", "warning"),
    "context manager to function": (CONTEXT, SYNC, "with lib.f(): pass", "error"),
    "function to context manager": (LIST, CONTEXT, "for x in lib.f(): pass", "error"),
    "list to generator": (LIST, YIELDS, "lib.f()[0]", "error"),
    "static to bound": (STATIC, BOUND, "lib.A.n(1)", "error"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_kind(what: str, tmp_path: Path):
    """An error where it fails or means something else for certain."""
    old, new, code, level = CHANGES[what]
    found = hits(tmp_path, f"import lib\n{code}\n", old, new)
    assert [(hit.rule, hit.level) for hit in found] == [("called-otherwise", level)]


QUIET = {
    "awaited before and after": (TASK, ASYNC, "async def m(): await lib.f()"),
    "an awaitable before": ("def f() -> 'Awaitable[int]': ...", ASYNC, "print(lib.f())"),
    "left alone, and a task before": (TASK, ASYNC, "lib.f()"),
    "entered before and after": (CONTEXT, OBJECT, "with lib.f(): pass"),
    "looped over before and after": (LIST, YIELDS, "for x in lib.f(): pass"),
    "kept": (LIST, YIELDS, "x = lib.f()"),
    "a cache": (SYNC, f"from functools import cache\n@cache\n{SYNC}", "lib.f()"),
    "on an instance": (STATIC, BOUND, "lib.A().n(1)"),
    "one property and another": (PROPERTY, CACHED, "lib.A().n + 1"),
    "a method that is replaced": (METHOD, BOUND.replace(", x", ", x=1"), "lib.A().n()"),
    "a decorator that may do anything": (
        ASYNC,
        f"def deco(f): return f\n@deco\n{SYNC}",
        "async def m(): await lib.f()",
    ),
}


@pytest.mark.parametrize("why", QUIET)
def test_nothing_is_said_where(why: str, tmp_path: Path):
    """What is used keeps its kind, or what it gives still serves."""
    old, new, code = QUIET[why]
    assert [hit.rule for hit in hits(tmp_path, f"import lib\n{code}\n", old, new)] == []
