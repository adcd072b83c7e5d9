"""Conditions around contacts."""

import ast

import pytest

from sternpost.guard.scan.contacts import Guard
from sternpost.guard.scan.guards import conditions, handled, handles, is_version, reached

GATES = {
    "Version(lib.__version__) >= Version('1.2')": (">=", "1.2"),
    "Version('1.2') > version('lib')": ("<", "1.2"),
    "lib.__version__ == '1.2'": ("==", "1.2"),
    "lib_version < (1, 2)": ("<", "1.2"),
    "require_version('lib>=1.2')": (">=", "1.2"),
    "is_lib_greater_or_equal('1.2')": (">=", "1.2"),
    "check_version('lib', '>=', '1.2')": (">=", "1.2"),
    "not lib.__version__ < '1.2'": (">=", "1.2"),
}


def known(test: str, holds: bool = True) -> Guard:
    return conditions(ast.parse(test, mode="eval").body, "lib", lambda name: None, holds)


@pytest.mark.parametrize("test", sorted(GATES))
def test_a_comparison_of_the_version_is_a_gate(test: str):
    """However it is written; where it fails, the opposite holds."""
    operator, version = GATES[test]
    assert known(test).gates == ((operator, version),)
    opposite = {">=": "<", "<": ">=", "==": "!="}[operator]
    assert known(test, False).gates == ((opposite, version),)


@pytest.mark.parametrize("test", ["other.__version__ >= '1.2'", "x > 3", "flags.lib", "glib.__version__ > '2'"])
def test_other_comparisons_are_none(test: str):
    """Of other packages, of other values."""
    assert known(test).gates == ()


def test_both_sides_of_and_hold_and_neither_of_or():
    """De Morgan where they fail."""
    both = known("lib.__version__ > '1' and lib.__version__ < '3'")
    assert both.gates == ((">", "1"), ("<", "3"))
    assert known("lib.__version__ > '1' or lib.__version__ < '3'").gates == ()
    assert known("lib.__version__ < '1' or lib.__version__ > '3'", False).gates == ((">=", "1"), ("<=", "3"))


@pytest.mark.parametrize(("version", "expected"), [("1.1", False), ("1.2", True), ("2.0", False), (None, True)])
def test_a_place_is_reached_inside_its_gates(version: str | None, expected: bool):
    """An unknown version reaches everything."""
    assert reached(Guard(gates=((">=", "1.2"), ("<", "2"))), version) is expected


def test_a_handler_that_raises_again_handles_nothing():
    """The project stops all the same."""
    code = "try:\n    f()\nexcept ImportError:\n    pass\nexcept TypeError:\n    raise\n"
    (node,) = ast.parse(code).body
    assert isinstance(node, ast.Try)
    guard = Guard(caught=handled(node))
    assert handles(guard, "import")
    assert not handles(guard, "call")


def test_texts_that_only_begin_like_versions_are_read_at_once():
    """No text of a stranger keeps the guard busy."""
    assert not is_version("1" * 100_000 + "!")
    assert not is_version("1." + "1a" * 10_000)
    assert is_version("v1.2.0rc1")
