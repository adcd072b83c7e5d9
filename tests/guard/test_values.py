"""Values and types by reading: computed where that is certain, left as text where it is not."""

import ast
from pathlib import Path

import griffe
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sternpost.guard.annotations import choices, type_text
from sternpost.guard.resolve import Resolver
from sternpost.guard.sources import Tree
from sternpost.guard.values import MAX_TEXT, literal, same_value, value_text

from . import trees

HEAD = """
import math
from typing import Annotated, Any, Callable, Dict, List, Literal, Optional, Union
import typing as t
from torch import Tensor
from .other import THERE, Alias
SIZE = 8
DOUBLE = SIZE * 2
LOOP = LOOP2
LOOP2 = LOOP
NAMES = ("a", "b")
Mode = Literal["fast", "slow"]
Modes = list[Mode] | None
Row = Dict[str, Any]
def call(): ...
class Box:
    inner = DOUBLE + 1
"""


@pytest.fixture(scope="module")
def scope(tmp_path_factory):
    """A module to read expressions in, and its resolver."""
    root = tmp_path_factory.mktemp("values")
    other = "THERE = ['x']\nfrom typing import Literal\nMode2 = Literal[1, 2]\nAlias = Mode2"
    tree = Tree(trees.project(root, {"lib/__init__.py": HEAD, "lib/other.py": other}))
    resolver = Resolver(tree)
    return tree.module("lib"), resolver


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("1e-5", "1e-05"),
        ('"it"', "'it'"),
        ("SIZE", "8"),
        ("DOUBLE", "16"),
        ("Box.inner", "17"),
        ("THERE", "['x']"),
        ("-SIZE", "-8"),
        ("SIZE / 3 + 1", "3.6666666666666665"),
        ("1 << 10", "1024"),
        ("2 ** 10", "1024"),
        ("2 ** 10 ** 10", "2 ** 10000000000"),
        ("'a' * 10 ** 18", "'a' * 1000000000000000000"),
        ("1 << 10 ** 9", "1 << 1000000000"),
        ("SIZE / 0", "8 / 0"),
        ("{'b': SIZE, **x}", "{'b': 8, **x}"),
        ("LOOP", "LOOP"),
        ("math.inf", "math.inf"),
        ("call", "call"),
        ("call(SIZE)", "call(8)"),
        ("lambda SIZE: SIZE", "lambda SIZE: SIZE"),
        ("frozenset({1})", "{1}"),
        ("None", "None"),
        ("Nowhere.NAME", "Nowhere.NAME"),
        ("not valid python", "not valid python"),
    ],
)
def test_defaults_are_computed_as_far_as_certain(scope, source: str, text: str):
    """Constants of the package and arithmetic on numbers; hostile arithmetic is left alone."""
    module, resolver = scope
    assert value_text(source, module, resolver) == text


def test_long_values_are_told_apart(scope):
    """A snapshot line stays readable, and a change at the end of a long value is a change."""
    module, resolver = scope
    one, other = (value_text(repr("x" * 500 + end), module, resolver) for end in "ab")
    assert one != other
    assert len(one) <= MAX_TEXT


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=4), st.lists, max_leaves=5))
def test_literals_survive(value: object):
    """What Python writes, the guard reads."""

    class Nowhere(Resolver):
        def __init__(self): ...

        def lookup(self, name, scope):
            return None

    assert literal(repr(value), None, Nowhere()) == value


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("5", "5.0", True),
        ("0", "False", False),
        ("1", "True", False),
        ("'1'", "1", False),
        ("[1, 2]", "[1,2]", True),
        ("{'a': 1}", "{'a': 1.0}", False),
        ("f(x)", "f(x)", True),
        ("f(x)", "f(y)", False),
        ("0.1", "1e-1", True),
        (None, None, True),
        (None, "None", False),
    ],
)
def test_same_value(old: str | None, new: str | None, same: bool):
    """Two spellings of one value are no change of default."""
    assert same_value(old, new) is same
    assert same_value(new, old) is same


@pytest.mark.parametrize(
    "spellings",
    [
        [
            "Optional[int]",
            "int | None",
            "None | int",
            "Union[int, None]",
            "t.Optional[int]",
            "'int | None'",
            "Optional['int']",
        ],
        ["List[Dict[str, int]]", "list[dict[str, int]]", "t.List[t.Dict[str, int]]"],
        ["Tensor", "torch.Tensor", "'torch.Tensor'"],
        ["Mode", "str", "Literal['x']", "Annotated[str, 'doc']"],
        ["Modes", "Optional[list[str]]"],
        ["Row", "dict[str, Any]"],
        ["Alias", "int"],
        ["Callable[[int, Optional[str]], None]", "Callable[[int, str | None], None]"],
    ],
)
def test_spellings_of_a_type_are_one(scope, spellings: list[str]):
    """Modernising annotations changes no fact."""
    module, resolver = scope
    assert len({type_text(spelling, module, resolver) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("annotation", "accepted"),
    [
        ("Literal['a', 'b']", ["'a'", "'b'"]),
        ("Optional[Mode]", ["'fast'", "'slow'"]),
        ("Modes", ["'fast'", "'slow'"]),
        ("list[Mode] | Literal['all']", ["'fast'", "'slow'", "'all'"]),
        ("Literal[*NAMES]", ["'a'", "'b'"]),
        ("Literal[SIZE, -1, None]", ["8", "-1", "None"]),
        ("'Mode'", ["'fast'", "'slow'"]),
        ("Alias", ["1", "2"]),
        ("Callable[[Mode], None]", []),
        ("dict[str, int]", []),
        ("Annotated[Mode, 'fast']", ["'fast'", "'slow'"]),
    ],
)
def test_accepted_values(scope, annotation: str, accepted: list[str]):
    """Through aliases, unions and containers; a `Literal` that something else accepts is not accepted here."""
    module, resolver = scope
    assert choices(annotation, module, resolver) == accepted


@given(text=st.text(max_size=40))
def test_any_annotation_is_read_or_left(text: str):
    """Untrusted text never raises: what cannot be read has no type and no values, or stands as it is."""

    class Nowhere(Resolver):
        def __init__(self):
            self.texts = {}

        def lookup(self, name, scope):
            return None

    nowhere = griffe.Module("nowhere")
    found = type_text(text, nowhere, Nowhere())
    assert found is None or isinstance(found, str)
    assert all(isinstance(value, str) for value in choices(text, nowhere, Nowhere()))
    assert isinstance(value_text(text, nowhere, Nowhere()), str)


def test_deep_expressions_are_left(scope):
    """No recursion error, whatever the depth."""
    module, resolver = scope
    for text in ("-" * 5000 + "1", "[" * 5000 + "]" * 5000, "1" + "+1" * 20000, "x" + ".y" * 5000):
        assert value_text(text, module, resolver)
        type_text(text, module, resolver)
        choices(text, module, resolver)
    with pytest.raises((SyntaxError, MemoryError, RecursionError)):
        ast.parse("[" * 5000 + "]" * 5000)


def test_constants_without_end_or_measure(tmp_path: Path):
    """One that is made of itself stays a name, and so does what doubles at every step."""
    doubled = "\n".join(f"C{i} = (C{i - 1}, C{i - 1})" for i in range(1, 60))
    source = f"__all__ = ['f']\nA = (B,)\nB = (A,)\nC0 = 1\n{doubled}\ndef f(a=A, b=C3, c=C59): ..."
    found = {fact.name: fact.get("default") for fact in trees.module(tmp_path, source).owned("param", "lib.f")}
    assert found["a"] == "A"
    assert found["b"] == "(((1, 1), (1, 1)), ((1, 1), (1, 1)))"
    assert len(found["c"]) <= MAX_TEXT


def test_aliases_without_end_or_measure(tmp_path: Path):
    """A recursive alias is left as it is named; one that doubles at every step is read in no time."""
    doubled = "\n".join(f"D{i} = Union[list[D{i - 1}], tuple[D{i - 1}, D{i - 1}]]" for i in range(1, 60))
    source = f"""
from typing import Literal, Union
__all__ = ["f"]
Json = dict[str, "Json"] | list["Json"] | str
Even = Union["Odd", Literal["e"]]
Odd = Even | Literal["o"]
D0 = Literal["x"]
{doubled}
def f(a: Json, b: Odd, c: Even | None, d: D59): ...
"""
    found = {fact.name: fact.get("type") for fact in trees.module(tmp_path, source).owned("param", "lib.f")}
    assert (found["a"], found["b"], found["c"]) == ("Json", "Odd", "Even | None")
    assert len(found["d"]) <= MAX_TEXT


def test_values_do_not_depend_on_the_machine(tmp_path: Path):
    """The path of the tree is in no fact."""
    source = "__all__ = ['f']\nimport os\ndef f(a=os.path.join('x', __file__)): ..."
    assert trees.lines(trees.module(tmp_path / "one", source)) == trees.lines(trees.module(tmp_path / "two", source))
