"""Fields of named tuples, as expressions give them."""

import pytest

from sternpost.guard.fields import tuple_fields

TUPLES = {
    "namedtuple('T', 'a b')": [("a", None), ("b", None)],
    "namedtuple('T', ['a', 'b'], defaults=(1,))": [("a", None), ("b", "1")],
    "NamedTuple('T', [('a', int)])": [("a", None)],
    "namedtuple('T', [])": [],
    "namedtuple('T', '')": [],
    "namedtuple('T', names)": [],
    "namedtuple('T')": [],
    "dict('T', 'a b')": [],
}


@pytest.mark.parametrize("expression", TUPLES)
def test_fields_of_named_tuples(expression: str):
    """Also of one without any, and of one whose fields are made up elsewhere."""
    assert tuple_fields(expression) == TUPLES[expression]
