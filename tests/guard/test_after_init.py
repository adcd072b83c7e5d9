"""Defaults that `__post_init__` makes: read where reading can tell, and what reading says running confirms."""

import ast
import dataclasses
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.guard.diff import compare
from sternpost.guard.findings import judge

from . import trees

HEAD = "from dataclasses import dataclass, field\nfrom elsewhere import Base, other\nLIMIT = 40 + 2\n"


def config(
    body: str, fields: str = "a: int | None = None; b: bool = False; c: list = field(default_factory=list)"
) -> str:
    lines = "\n".join(f"        {line}" for line in body.split("\n"))
    return f"@dataclass\nclass C:\n    {fields}\n    def __post_init__(self):\n{lines}\n"


def settled(tmp_path: Path, text: str) -> dict[str, str | None]:
    snapshot = trees.module(tmp_path, HEAD + text)
    return {f.name: f.get("settled") for f in snapshot.owned("field", "lib.C") if f.get("settled") not in (None, "?")}


KNOWN = [
    ("if self.a is None:\n    self.a = 5", {"a": "5"}),
    ("self.a = 5 if self.a is None else self.a", {"a": "5"}),
    ("self.a = self.a or LIMIT", {"a": "42"}),
    ("if not self.b and self.a == None:\n    self.a = -1\nelse:\n    self.a = 2", {"a": "-1"}),
    ("x = 3\nself.a = x * 2\nself.b = not self.b", {"a": "6", "b": "True"}),
    ("if isinstance(self.b, bool):\n    self.b = {True: 'yes', False: 'no'}.get(self.b, self.b)", {"b": "'no'"}),
    ("for name in ('b', 'c'):\n    setattr(self, name, other())\nself.a = 1", {"a": "1"}),
    ("for x, y in {'b': 'c'}.items():\n    setattr(self, y, other())\nself.a = 1", {"a": "1"}),
    ("other(getattr(self, 'b'))\nself.a = 1", {"a": "1"}),
    ("for x in (1, 2):\n    self.a = x", {"a": "2"}),
    ("self.a = 1\nfor name in ('a', 'b'):\n    setattr(self, name, 2)", {"a": "2", "b": "2"}),
    ("self.c = [7]\nif len(self.c) == 1:\n    self.a = self.c[0]", {"a": "7", "c": "[7]"}),
    ("self.a = {'x': 1}['x']", {"a": "1"}),
    ("if not self.b:\n    raise ValueError\nself.a = 5", {"a": "5"}),
    ("self.c = [1]\nif self.a is None or self.a < 0:\n    raise ValueError(self.a)", {"c": "[1]"}),
    ("if len(self.c) == 0:\n    self.c = [1, (2, 'x')]", {"c": "[1, (2, 'x')]"}),
]
UNSURE = [
    "self.a = other()",
    "self.a = self.b.bit_length(3)",
    "if other():\n    self.a = 5",
    "for x in (1, other()):\n    self.a = x",
    "for x in (1, 2):\n    self.a = x\n    break",
    "self.a = []\nself.a.append(1)",
    "self.a = []\nx = self.a\nx.append(1)",
    "self.a = {}\nself.a['x'] = 1",
    "self.a = {}\nother(self.a)",
    "self.a = [1]\ntry:\n    del self.a[0]\nexcept KeyError:\n    pass",
    "with other():\n    self.a = 5",
    "try:\n    self.a = 5\nexcept ValueError:\n    pass",
    "self.a = 5\nother(self)",
    "if other():\n    return\nself.a = 5",
    "self.a = 5\nself.a += other()",
    "if LIMIT:\n    raise ValueError\nself.a = 5",
    "self.a = 10 ** 10 ** 10",
    "self.a = '9' * 10 ** 12",
    f"for x in {list(range(100))}:\n    self.a = [self.a, self.a]\nself.a = [self.a]",
    "for x in range(9):\n    self.a = x",
    "self.a = 1\nfor name in other():\n    setattr(self, name, 2)",
]


@pytest.mark.parametrize(("body", "expected"), KNOWN)
def test_what_reading_can_tell(body: str, expected: dict[str, str], tmp_path: Path):
    """Tests over literals, constants, local names, tables; the value that the constructor really leaves."""
    assert settled(tmp_path, config(body)) == expected


@pytest.mark.parametrize("body", UNSURE)
def test_what_only_running_can_tell_is_not_stated(body: str, tmp_path: Path):
    """Calls, loops, unknown tests, and whoever else gets the instance."""
    assert settled(tmp_path, config(body)) == {}


def test_loops_in_loops_end(tmp_path: Path):
    """Nothing is said of a method that takes too many steps to follow."""
    deep = "".join(f"{'    ' * depth}for x{depth} in {list(range(90))}:\n" for depth in range(6))
    assert settled(tmp_path, config(f"self.a = 1\n{deep}{'    ' * 6}self.a = x0")) == {}


def test_what_may_have_been_set_says_so(tmp_path: Path):
    """A default that only running can tell is no declared one: it is compared with nothing but what is declared."""
    unsure = HEAD + config("if other():\n    self.a = 5", "a: int | None = None")
    old, new, moved = (
        trees.module(tmp_path / name, text)
        for name, text in (
            ("old", HEAD + "@dataclass\nclass C:\n    a: int | None = None\n"),
            ("new", unsure),
            ("moved", unsure.replace("= None", "= 7")),
        )
    )
    assert new.owned("field", "lib.C")[0].get("settled") == "?"
    assert judge(compare(old, new)) == []
    assert [finding.says for finding in judge(compare(new, moved))] == [
        "The default of option `a` of `lib.C` changed: None -> 7."
    ]


def test_a_branch_that_raises_leaves_the_other(tmp_path: Path):
    """Who gets an instance did not come that way."""
    assert settled(tmp_path, config("if other():\n    raise ValueError\nself.a = 5")) == {"a": "5"}
    assert settled(tmp_path, config("if other():\n    self.a = 5\nelse:\n    self.a = 5")) == {"a": "5"}


def test_options_that_must_be_set_have_no_default_of_their_own(tmp_path: Path):
    """Where the declared default is refused nobody has it: what the method makes of what is given is not known."""
    body = "if self.a is None:\n    raise ValueError('needed')\nself.a = self.a + 1"
    (field,) = trees.module(tmp_path, HEAD + config(body, "a: int | None = None")).owned("field", "lib.C")
    assert field.get("settled") == "?"


def test_methods_and_bases_are_followed(tmp_path: Path):
    """Those of this package; a base elsewhere may do as it likes with the options that it has."""
    text = """
@dataclass
class B(Base):
    a: int | None = None
    def __post_init__(self):
        super().__post_init__()
        self.fill()
    def fill(self): self.a = 1
@dataclass
class C(B):
    b: int | None = None
    def __post_init__(self):
        self.b = 2
        super().__post_init__()
    def fill(self): self.a = 3
"""
    assert settled(tmp_path, text) == {"a": "3", "b": "2"}
    foreign = (
        text.replace("elsewhere", "transformers").replace("Base", "TrainingArguments").replace("b: int", "bf16: int")
    )
    foreign = "from transformers import TrainingArguments\n" + foreign.replace("self.b =", "self.bf16 =")
    assert settled(tmp_path / "foreign", foreign) == {"a": "3", "bf16": "2"}
    assert settled(tmp_path / "unsure", foreign.replace("bf16", "report_to")) == {"a": "3"}


def test_options_of_bases_elsewhere_have_their_defaults(tmp_path: Path):
    """As they are pinned, and as long as the base does not settle them itself."""
    text = """
from transformers import TrainingArguments
@dataclass
class C(TrainingArguments):
    loss_type: str | None = None
    other: str | None = None
    def __post_init__(self):
        super().__post_init__()
        if self.loss_type is None:
            self.loss_type = "nll" if self.use_liger_kernel else "chunked"
        if self.other is None:
            self.other = "x" if self.report_to else "y"
"""
    assert settled(tmp_path, text) == {"loss_type": "'chunked'"}


def test_a_method_that_calls_itself_ends(tmp_path: Path):
    """Whatever it would have set is not known, and nothing is raised."""
    assert settled(tmp_path, config("self.a = 1\nself.__post_init__()")).keys() <= {"a"}


def test_what_counts_is_what_the_constructor_leaves(tmp_path: Path):
    """A default that moved into `__post_init__` is the same; one that changed there has changed."""
    old = HEAD + "@dataclass\nclass C:\n    a: int | None = 5\n"
    same = HEAD + config("if self.a is None:\n    self.a = 5", "a: int | None = None")
    other = HEAD + config("if self.a is None:\n    self.a = 6", "a: int | None = None")
    snapshots = [trees.module(tmp_path / name, text) for name, text in (("old", old), ("same", same), ("other", other))]
    assert judge(compare(snapshots[0], snapshots[1])) == []
    for before in snapshots[:2]:
        (finding,) = judge(compare(before, snapshots[2]))
        assert finding.says == "The default of option `a` of `lib.C` changed: 5 -> 6."


FIELDS = ("a", "b", "c")
VALUES = st.sampled_from(["None", "True", "False", "0", "1", "2.5", "'x'", "[]"])
EXPRESSIONS = st.recursive(
    st.one_of(VALUES, st.sampled_from([f"self.{name}" for name in FIELDS]), st.just("unknown()")),
    lambda inner: st.one_of(
        st.builds("({} or {})".format, inner, inner),
        st.builds("({} and {})".format, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({} is None)".format, inner),
        st.builds("({} == {})".format, inner, inner),
        st.builds("({} + {})".format, inner, inner),
    ),
    max_leaves=5,
)
ASSIGNMENTS = st.one_of(
    st.builds("self.{} = {}".format, st.sampled_from(FIELDS), EXPRESSIONS),
    st.builds("if self.{0} == []: self.{0}.append({1})".format, st.sampled_from(FIELDS), VALUES),
    st.builds("for x in ({}, {}): self.{} = x".format, VALUES, EXPRESSIONS, st.sampled_from(FIELDS)),
    st.builds("setattr(self, {!r}, {})".format, st.sampled_from(FIELDS), EXPRESSIONS),
)


@st.composite
def bodies(draw: st.DrawFn, depth: int = 2) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        if depth and draw(st.booleans()):
            lines.append(f"if {draw(EXPRESSIONS)}:")
            lines += [f"    {line}" for line in draw(bodies(depth - 1))]
            if draw(st.booleans()):
                lines += ["else:", *(f"    {line}" for line in draw(bodies(depth - 1)))]
        else:
            lines.append(draw(st.one_of(ASSIGNMENTS, st.just("return"))))
    return lines


@settings(max_examples=150)
@given(body=bodies(), starts=st.tuples(VALUES, VALUES, VALUES), unknown=st.sampled_from([0, 1, None]))
def test_running_confirms_what_is_stated(tmp_path_factory, body: list[str], starts: tuple[str, ...], unknown: object):
    """Whatever a function that nobody can read gives: if the code runs, the stated value is the one that it leaves."""
    fields = "; ".join(f"{name}: object = {start}" for name, start in zip(FIELDS, starts, strict=True) if start != "[]")
    text = config("\n".join(body), fields or "z: int = 0")
    stated = settled(tmp_path_factory.mktemp("run"), text)
    space = {"dataclass": dataclasses.dataclass, "field": dataclasses.field, "unknown": lambda: unknown}
    with warnings.catch_warnings(action="ignore"):
        exec(text, space)
    try:
        made = space["C"]()
    except (TypeError, AttributeError):
        return
    for name, value in stated.items():
        assert getattr(made, name) == ast.literal_eval(value or ""), text
