"""What goes is announced in one form, and what has gone says what became of it."""

import sys
import types
import warnings
from pathlib import Path

import pytest

import sternpost
from sternpost import deprecation
from sternpost.deprecation import deprecated, gone_from, missing

STONE = {"since": "0.4.0", "last": "0.3.2", "why": "one trainer serves both.", "use": "sternpost.SFTTrainer"}


def test_the_warning_says_when_and_what_instead():
    """In one sentence each, as a FutureWarning, which Python shows to users."""
    with pytest.warns(FutureWarning) as told:
        deprecated("SFTConfig.old", since="0.2.0", remove_in="0.4.0", use="SFTConfig.new")
    assert str(told[0].message) == (
        "`SFTConfig.old` is deprecated since 0.2.0 and will be removed in 0.4.0. Use `SFTConfig.new` instead."
    )


def test_the_warning_names_the_line_of_the_user():
    """Not that of the function which warns."""

    def old():
        deprecated("old", since="0.2.0", remove_in="0.4.0")

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        line = sys._getframe().f_lineno + 1
        old()
    assert (Path(told[0].filename).name, told[0].lineno) == (Path(__file__).name, line)
    assert str(told[0].message).endswith("removed in 0.4.0.")


def test_a_name_that_was_never_there_is_an_attribute_error():
    """So that `hasattr` and `getattr` with a default work as ever."""
    assert not hasattr(sternpost, "NeverThere")
    assert isinstance(missing("sternpost", "NeverThere"), AttributeError)


def test_a_name_that_is_gone_says_what_became_of_it(monkeypatch: pytest.MonkeyPatch):
    """On `from ... import` and on access; never a bare ImportError."""
    monkeypatch.setitem(deprecation.TOMBSTONES, "sternpost.OldTrainer", STONE)
    told = (
        "`sternpost.OldTrainer` is gone since 0.4.0: one trainer serves both. Use `sternpost.SFTTrainer` instead. "
        "The last version that has it is 0.3.2: `pip install sternpost==0.3.2`."
    )
    with pytest.raises(ImportError) as imported:
        exec("from sternpost import OldTrainer")
    with pytest.raises(ImportError) as read:
        _ = sternpost.OldTrainer
    assert str(imported.value) == str(read.value) == told


def test_any_module_can_have_tombstones(monkeypatch: pytest.MonkeyPatch):
    """With a `__getattr__` that knows nothing else."""
    module = types.ModuleType("sternpost.room")
    module.__getattr__ = gone_from("sternpost.room")  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "sternpost.room", module)
    monkeypatch.setitem(deprecation.TOMBSTONES, "sternpost.room.old", STONE | {"use": ""})
    with pytest.raises(ImportError, match=r"one trainer serves both\. The last version"):
        exec("from sternpost.room import old")
    assert not hasattr(module, "other")


def test_every_tombstone_is_complete():
    """And what it points to exists."""
    for path, stone in deprecation.TOMBSTONES.items():
        assert path.startswith("sternpost."), path
        assert {"since", "last", "why"} <= stone.keys() <= {"since", "last", "why", "use"}, path
        assert stone["why"].endswith("."), path
