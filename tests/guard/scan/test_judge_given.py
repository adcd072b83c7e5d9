"""Members of what the package's own functions and classes give, between two versions."""

from pathlib import Path

import pytest

from .projects import hits, rules

OLD = """
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self, TypeVar, overload

T = TypeVar("T", bound="Engine")

class Engine:
    def __init__(self):
        self.slots = 4
    def __enter__(self):
        return self
    def __exit__(self, *error):
        pass
    @classmethod
    def load(cls):
        return cls()
    @classmethod
    def quoted(cls) -> "Engine":
        return cls()
    @classmethod
    async def fetch(cls: type[T]) -> T:
        return cls()
    @staticmethod
    def new():
        made = Engine()
        return made
    def tuned(self):
        self.slots = 5
        return self
    def typed(self) -> Self:
        return self
    def sync(self, model, full=False):
        return model
    def stop(self):
        pass

class Small(Engine):
    pass

class client:
    engine: Engine
    def __call__(self) -> Engine:
        return Engine()

def annotated() -> Engine | None:
    return Engine()
def plain():
    return Engine()
def passed_on():
    return plain()
async def later() -> "Engine":
    return Engine()
@contextmanager
def opened() -> Iterator[Engine]:
    yield Engine()
def several() -> list[Engine]:
    return [Engine()]
@overload
def either(x: int) -> Engine: ...
@overload
def either(x: str) -> Engine: ...
def either(x):
    return x

shared = Engine()
"""
NEW = OLD.replace("def sync(self, model, full=False)", "def sync(self, model)").replace("def stop", "def shut_down")

GIVES = {
    "annotation": "x = lib.annotated()",
    "constructor": "x = lib.plain()",
    "through another function": "x = lib.passed_on()",
    "class method": "x = lib.Engine.load()",
    "quoted": "x = lib.Engine.quoted()",
    "class method of a subclass": "x = lib.Small.load()",
    "static method": "x = lib.Engine.new()",
    "self": "x = lib.Engine().tuned()",
    "Self": "x = lib.plain().typed().tuned()",
    "lower-case class": "x = lib.client().engine",
    "call of an instance": "x = lib.client()()",
    "shared": "x = lib.shared",
    "with": "with lib.Engine() as x: pass",
    "with a function": "with lib.opened() as x: pass",
    "awaited": "async def main():\n  x = await lib.later()\n  x.sync(1, full=True)\n  x.stop()",
    "awaited class method": "async def main():\n  x = await lib.Engine.fetch()\n  x.sync(1, full=True)\n  x.stop()",
}


@pytest.mark.parametrize("what", GIVES)
def test_every_way_in_which_the_package_says_what_a_call_gives(what: str, tmp_path: Path):
    """By annotations, `return cls()`, `return self`, `Self`; awaited, entered, called again."""
    code = GIVES[what] if "def main" in GIVES[what] else f"{GIVES[what]}\nx.sync(1, full=True)\nx.stop()"
    found = hits(tmp_path, f"import lib\n{code}\n", OLD, NEW)
    assert sorted((hit.rule, hit.level) for hit in found) == [("argument-gone", "error"), ("member-gone", "error")]


def test_without_a_name(tmp_path: Path):
    """A chain of calls is as good."""
    code = "import lib\nlib.plain().stop()\nlib.Engine().tuned().stop()\n[x.stop() for x in lib.several()]\n"
    found = hits(tmp_path, code, OLD, NEW)
    assert [(hit.rule, hit.at) for hit in found] == [("member-gone", 2), ("member-gone", 3), ("member-gone", 4)]
    assert "which `plain()` gives" in found[0].says


def test_a_class_of_the_project_that_derives(tmp_path: Path):
    """`return self` and `return cls()` give the project's class; what it defines itself is not lost."""
    code = "import lib\nclass P(lib.Engine):\n  {}\nP().tuned().stop()\nP.load().stop()\n"
    assert [hit.at for hit in hits(tmp_path / "a", code.format("pass"), OLD, NEW)] == [4, 5]
    found = hits(tmp_path / "b", code.format("def stop(self): pass"), OLD, NEW)
    assert "member-gone" not in rules(found)


UNSURE = {
    "a subclass may be meant": (OLD, NEW + "\nclass Large(Engine):\n    def stop(self): pass\n"),
    "it may be something else": (
        OLD,
        NEW.replace("    return Engine()\ndef passed", "    return Engine() or x\ndef passed"),
    ),
}


@pytest.mark.parametrize("what", UNSURE)
def test_what_is_not_certain_is_a_warning(what: str, tmp_path: Path):
    """An error is certain."""
    found = hits(tmp_path, "import lib\nlib.plain().stop()\n", *UNSURE[what])
    assert [(hit.rule, hit.level) for hit in found] == [("member-gone", "warning")]


QUIET = {
    "not awaited": "async def m():\n  x = lib.later()\n  x.stop()",
    "another thing": "x = lib.unknown()\nx.stop()",
    "nothing changed": "x = lib.plain()\nx.tuned()",
    "decorated": "x = lib.wrapped()\nx.stop()",
}


@pytest.mark.parametrize("why", QUIET)
def test_nothing_is_said_where(why: str, tmp_path: Path):
    """A coroutine is no engine; what nobody says is not known."""
    more = "\ndef unknown():\n    return far()\ndef deco(f): return f\n@deco\ndef wrapped():\n    return Engine()\n"
    assert rules(hits(tmp_path, f"import lib\n{QUIET[why]}\n", OLD + more, NEW + more)) == []


def test_functions_that_return_each_other(tmp_path: Path):
    """A circle ends."""
    more = "\ndef f():\n    return g() or f()\ndef g():\n    return f() or plain()\n"
    assert hits(tmp_path, "import lib\nlib.f().stop()\n", OLD + more, NEW + more) is not None
