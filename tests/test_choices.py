"""Accepted values of options."""

from dataclasses import dataclass
from typing import Literal

import pytest

from sternpost.choices import check_choices


@dataclass
class Options:
    colour: Literal["red", "green"] = "red"
    size: int = 3


def test_accepted_values_pass():
    """Every declared value is accepted, and fields without declared values are not looked at."""
    for colour in ("red", "green"):
        check_choices(Options(colour, size=-1))


def test_another_value_names_the_nearest():
    """The error names the option, the value, all accepted values and the nearest of them."""
    with pytest.raises(ValueError, match=r"`colour='gren'` is not one of 'red', 'green'. Did you mean \"green\"\?"):
        check_choices(Options("gren"))
