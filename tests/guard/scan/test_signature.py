"""What callables take and give."""

import ast

import pytest

from sternpost.guard.scan.signature import Shape, Signature, misfits, result_shapes


def signature(text: str, bound: bool = False) -> Signature:
    (node,) = ast.parse(f"def f({text}): ...").body
    assert isinstance(node, ast.FunctionDef)
    return Signature.of(node, bound)


def shape(text: str) -> Shape:
    node = ast.parse(text, mode="eval").body
    assert isinstance(node, ast.Call)
    return Shape.of(node)


FITS = {
    ("a, b=1", "f(1)"): set(),
    ("a, b=1", "f(1, 2, 3)"): {"too many"},
    ("a, b=1", "f(b=1)"): {"missing"},
    ("a, b=1", "f(1, c=1)"): {"unexpected"},
    ("a, **more", "f(1, c=1)"): set(),
    ("*args", "f(1, 2)"): set(),
    ("a, /", "f(a=1)"): {"unexpected"},
    ("a, *, b", "f(1)"): {"missing"},
    ("a, b", "f(*x)"): set(),
    ("a, b", "f(**x)"): set(),
}


@pytest.mark.parametrize(("takes", "call"), sorted(FITS))
def test_a_call_fits_or_not(takes: str, call: str):
    """As Python would say; what is splatted may hold anything."""
    assert {misfit.what for misfit in misfits(shape(call), signature(takes))} == FITS[takes, call]


RESULTS = {
    "return 1, 2": {"2-tuple"},
    "return {'a': 1}": {"dict"},
    "return": {"none"},
    "x = 1, 2, 3\n    return x": {"3-tuple"},
    "return g()": {"?"},
    "yield 1": {"?"},
    "if a:\n        return 1, 2\n    return None": {"2-tuple", "none"},
    "def g():\n        return 1, 2\n    return g": {"?"},
}


@pytest.mark.parametrize("body", sorted(RESULTS))
def test_the_shapes_of_results(body: str):
    """Of every return of its own."""
    (node,) = ast.parse(f"def f(a):\n    {body}\n").body
    assert isinstance(node, ast.FunctionDef)
    assert result_shapes(node) == RESULTS[body]


def test_a_wrapper_is_open():
    """It names nothing and takes everything; `self` of a method does not count."""
    assert signature("self, *args, **kwargs", bound=True).is_open
    assert not signature("a, *args, **kwargs").is_open
    assert signature("a, b=1, *, c=2, **more").shown() == "(a, b=1, *, c=2, **kwargs)"
