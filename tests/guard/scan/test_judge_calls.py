"""Calls and options between two versions."""

from pathlib import Path

import pytest

from .projects import BASE, changed, hits, rules


def test_a_lost_argument_is_told_on_its_own_line(tmp_path: Path):
    """With the new name that is probably the same."""
    code = "from lib import pad\npad(\n    1,\n    value=2,\n)\n"
    (hit,) = hits(tmp_path, code, BASE, changed("value=0", "padding_value=0"))
    assert (hit.rule, hit.at, hit.symbol) == ("argument-gone", 4, "lib.pad(value)")
    assert hit.fix == "`padding_value` is probably the same thing."


def test_calls_that_no_longer_fit(tmp_path: Path):
    """An argument that is now needed, one that moved, and one too many."""
    code = "from lib import pad\n{}\n"
    needed = changed('value=0, side="left"', "value, side='left'")
    assert rules(hits(tmp_path / "a", code.format("pad(1)"), BASE, needed)) == ["argument-required"]
    moved = changed('value=0, side="left"', 'side="left", value=0')
    assert "argument-moved" in rules(hits(tmp_path / "b", code.format("pad(1, 2)"), BASE, moved))
    fewer = changed('value=0, side="left"', "value=0")
    assert rules(hits(tmp_path / "c", code.format("pad(1, 2, 'l')"), BASE, fewer)) == ["argument-gone"]
    swallowed = changed('value=0, side="left"', "side='left', **kwargs")
    assert rules(hits(tmp_path / "d", code.format("pad(1, value=2)"), BASE, swallowed)) == ["argument-swallowed"]


def test_a_deprecated_name_is_still_taken(tmp_path: Path):
    """A decorator that says so keeps the old argument alive."""
    new = changed("def pad(x, value=0", "@deprecate_kwarg('value', 'padding')\ndef pad(x, padding=0")
    assert not hits(tmp_path, "from lib import pad\npad(1, value=2)", BASE, new)


def test_a_shifted_default_is_told_unless_it_is_set(tmp_path: Path):
    """By keyword, by position or in a dictionary that is splatted."""
    new = changed("beta: float = 0.1", "beta: float = 0.2")
    calls = ["Config()", "Config(0.3)", "Config(beta=1)", "kw = {'beta': 1}\nConfig(**kw)", "Config(**other)"]
    told = [rules(hits(tmp_path / str(i), f"from lib import Config\n{c}", BASE, new)) for i, c in enumerate(calls)]
    assert told == [["default-shifted"], [], [], [], []]


DICTIONARIES = {
    "literal": "kw = {'steps': 1}\nConfig(**kw)",
    "stored": "kw = {}\nkw['steps'] = 1\nConfig(**kw)",
    "dict()": "kw = dict(steps=1)\nConfig(**kw)",
    "merged": "kw = {**{'steps': 1}, 'beta': 2}\nConfig(**kw)",
    "made by a function": "def make():\n    out = {}\n    out['steps'] = 1\n    return out\nConfig(**make())",
    "taken by who knows whom": "kwargs = {}\nkwargs['steps'] = 1\nbuild(kwargs)",
    "passed to a class that is not known": "config_cls(steps=1)",
}


@pytest.mark.parametrize("how", sorted(DICTIONARIES))
def test_options_in_dictionaries_are_followed(how: str, tmp_path: Path):
    """Each key on its own line."""
    new = changed("    steps: int = field(default=3)\n", "")
    found = hits(tmp_path, f"from lib import Config\n{DICTIONARIES[how]}", BASE, new)
    lines = f"from lib import Config\n{DICTIONARIES[how]}".splitlines()
    assert found
    assert all("steps" in lines[hit.at - 1] and "steps" in hit.symbol for hit in found)


def test_a_subclass_of_the_project_is_constructed_as_its_base(tmp_path: Path):
    """Own options are the project's, inherited ones the package's."""
    code = (
        "from dataclasses import dataclass\nfrom lib import Config\n"
        "@dataclass\nclass Mine(Config):\n    extra: int = 0\nMine(extra=1, steps=2)\n"
    )
    found = hits(tmp_path, code, BASE, changed("    steps: int = field(default=3)\n", ""))
    assert [(hit.rule, hit.at) for hit in found] == [("argument-gone", 6)]


def test_methods_of_instances(tmp_path: Path):
    """A variable, an attribute or an annotated argument that holds an instance."""
    new = changed("def step(self)", "def train_step(self)")
    for index, code in enumerate(
        (
            "t = Trainer(1)\nt.step()",
            "def f(t: Trainer):\n    t.step()",
            "def f(t: 'Trainer | None'):\n    return t.step",
        )
    ):
        found = hits(tmp_path / str(index), f"from lib import Trainer\n{code}", BASE, new)
        assert [(hit.rule, hit.symbol) for hit in found] == [("member-gone", "lib.Trainer.step")]


def test_results_that_are_taken_apart(tmp_path: Path):
    """Two values from what now returns three."""
    old = f"{BASE}\ndef both():\n    return 1, 2\n"
    new = f"{BASE}\ndef both():\n    return 1, 2, 3\n"
    assert rules(hits(tmp_path / "a", "from lib import both\na, b = both()", old, new)) == ["result-changed"]
    assert not hits(tmp_path / "b", "from lib import both\na, *b = both()", old, new)
