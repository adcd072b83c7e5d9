"""What a finding says, and how many there are."""

from pathlib import Path

from sternpost.guard.findings import describe
from sternpost.guard.report import MAX_NEW, as_text

from . import trees

BASE = """
from dataclasses import dataclass
__all__ = ["A", "B"]
@dataclass(kw_only=True)
class _Base:
    rate: float = 0.5
    def run(self, rows, *, size=1): ...
class A(_Base): ...
class B(_Base): ...
"""


def test_a_change_of_a_private_base_is_one_finding(tmp_path: Path):
    """The classes that inherit it are listed; so for a field, a method and an argument of a method."""
    for number, (old, new, rule, subjects) in enumerate(
        [
            ("0.5", "0.25", "field-default-changed", ("lib.A.rate", "lib.B.rate")),
            ("run", "walk", "method-renamed", ("lib.A.run", "lib.B.run")),
            ("size=1", "size=2", "argument-default-changed", ("lib.A.run(size)", "lib.B.run(size)")),
        ]
    ):
        changed = {"lib.py": BASE.replace(old, new)}
        (finding,) = trees.checked(tmp_path / str(number), {"lib.py": BASE}, changed).findings
        assert (finding.rule, finding.subject, *finding.also) == (rule, *subjects)


def test_the_same_change_in_two_classes_is_two(tmp_path: Path):
    """Each has its own cause."""
    source = BASE.replace("(_Base)", "").replace("    ...", "")
    old = source.replace("class A: ...", "class A:\n    x = 1").replace("class B: ...", "class B:\n    x = 1")
    new = old.replace("x = 1", "y = 'no'")
    verdict = trees.checked(tmp_path, {"lib.py": old}, {"lib.py": new})
    assert [finding.subject for finding in verdict.breaks] == ["lib.A.x", "lib.B.x"]


def test_facts_are_described_as_python_writes_them(tmp_path: Path):
    """A reader sees declarations, not the snapshot's grammar."""
    snapshot = trees.module(
        tmp_path,
        "__all__ = ['f', 'C', 'X']\nX = 3\nasync def f(a, b: int = 1, *, c): ...\n"
        "class C:\n    y: str = 'y'\n    @property\n    def p(self): ...\n"
        "    @classmethod\n    async def make(cls, n): ...",
    )
    described = {fact.path: describe(fact) for fact in snapshot.facts}
    assert described["lib.f"] == "async function lib.f(a, b)"
    assert described["lib.f(b)"] == "b: int = 1"
    assert described["lib.f(c)"] == "c (keyword-only)"
    assert described["lib.X"] == "lib.X = 3"
    assert described["lib.C.y"] == "y = 'y'"
    assert described["lib.C.make"] == "async class method make(n)"
    assert described["lib.C.p"] == "property p"


def test_many_new_things_are_counted(tmp_path: Path):
    """They must not push the breaks out of sight."""
    names = [f"f{i}" for i in range(MAX_NEW + 5)]
    new = f"__all__ = {names}\n" + "\n".join(f"def {name}(): ..." for name in names)
    verdict = trees.checked(tmp_path, {"lib.py": "__all__ = []"}, {"lib.py": new})
    text = as_text(verdict)
    assert text.count("\n+ ") == MAX_NEW - 1
    assert "... and 5 more that break nobody." in text
    assert text.endswith("needs a minor release)\n")
