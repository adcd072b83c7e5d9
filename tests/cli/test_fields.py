"""Options read from source are the options that the classes have."""

import dataclasses
from pathlib import Path

import pytest

from sternpost.cli.fields import PACKAGE, Unresolved, accepted_strings, inherited_options, package_file, read_options
from sternpost.cli.sft import COMMAND
from sternpost.cli.training import SHARED, all_options, own_options

SOURCE = '''
from typing import Literal

from .kinds import Colour, Shape as Form

Size = Literal["small", "large"]


class Config:
    """A class."""

    # ---- First group
    size: Size = "small"
    """How big
    it is."""
    colour: Colour | None = None

    # --- Second group ---
    count: int = field(default=3, metadata={"help": "How many, 20%% say.", "choices": ["3", "4"]})
    names: list[str] = field(default_factory=list)
    parts: list[Size] = field(default_factory=lambda: ["small", "large"])
    odd = 1
    default_way = "walk"
    if True:
        default_way = "run"
    way: str = field(default=default_way, metadata={"nargs": "?"})
    where: str = compute()
    must: str

    def method(self): ...
'''


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "kinds.py").write_text("class Colour(Enum):\n    RED = 'red'\n    BLUE = 'blue'\n    CODE = 7\n")
    (tmp_path / "config.py").write_text(SOURCE)
    return tmp_path / "config.py"


def test_everything_about_a_field_is_read(source):
    """Names in order; groups; documentation below the field or in its metadata; defaults of every kind."""
    options = {option.name: option for option in read_options(source, "Config")}
    assert list(options) == ["size", "colour", "count", "names", "parts", "way", "where", "must"]
    assert (options["size"].doc, options["size"].group) == ("How big it is.", "First group")
    assert (options["count"].doc, options["count"].group) == ("How many, 20% say.", "Second group")
    assert [options[name].default for name in ("size", "colour", "count", "names", "parts", "way")] == [
        "small",
        None,
        3,
        (),
        ("small", "large"),
        "run",
    ]
    assert options["where"].default == Unresolved("compute()")
    assert (options["way"].bare, options["count"].choices) == (True, ("3", "4"))


def test_accepted_strings_are_followed_to_their_definition(source):
    """Literal aliases of the file, enums of another one that it imports; nothing for what is neither."""
    assert accepted_strings(source, "Size") == ("small", "large")
    assert accepted_strings(source, "Colour") == ("red", "blue")
    assert accepted_strings(source, "Other") == ()


def test_missing_class_or_package_is_said(source):
    """An unsupported version of a dependency is an error that names file and class."""
    with pytest.raises(ImportError, match=r"config.py does not define Nothing"):
        read_options(source, "Nothing")
    with pytest.raises(ImportError, match="no_such_package is not installed"):
        package_file("no_such_package", "file.py")


def test_source_agrees_with_the_real_classes():
    """Fields, their order and their literal defaults are what dataclasses say after importing everything."""
    from transformers import TrainingArguments

    from sternpost import options
    from sternpost.sft import SFTConfig

    real = [field for name in SHARED for field in dataclasses.fields(getattr(options, name))]
    read = [option for option in own_options(COMMAND) if option.owner in SHARED]
    assert [option.name for option in read] == [field.name for field in real]
    inherited = inherited_options()
    assert [option.name for option in inherited] == [field.name for field in dataclasses.fields(TrainingArguments)]
    assert {option.name for option in all_options(COMMAND) if option.owner not in SHARED} == {
        field.name for field in dataclasses.fields(SFTConfig)
    }
    defaults = {field.name: field.default for field in (*real, *dataclasses.fields(SFTConfig))}
    for option in all_options(COMMAND):
        if not isinstance(option.default, Unresolved) and option.default != ():
            assert option.default == defaults[option.name], option.name


def test_every_option_of_ours_is_documented_and_grouped():
    """No field without a literal below it and a group above it; no name in two classes."""
    own = own_options(COMMAND)
    assert [option.name for option in own if not option.doc or not option.group] == []
    assert len({option.name for option in own}) == len(own)
    assert [option.name for option in read_options(PACKAGE / "options.py", "DatasetConfig") if not option.doc] == []
