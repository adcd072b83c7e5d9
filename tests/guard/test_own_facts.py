"""Our own snapshot says what running the package says."""

import ast
import dataclasses
import importlib
import inspect
from pathlib import Path

import pytest

import sternpost
from sternpost.cli import COMMANDS, load
from sternpost.cli.arguments import ALIASES
from sternpost.cli.training import own_options
from sternpost.guard.extract import extract
from sternpost.guard.facts import Fact, Snapshot
from sternpost.guard.settings import find_settings
from sternpost.sft import contract

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    found = extract(find_settings(start=ROOT))
    assert found.problems == ()
    return found


def resolve(path: str) -> object:
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def test_every_name_can_be_imported_and_none_is_missing(snapshot: Snapshot):
    """The lazy facade, the rooms and the demo, by their `__all__`."""
    for module in ("sternpost", "sternpost.sft", "sternpost.grpo", "sternpost.demo", "sternpost.rewards"):
        stated = {path.rpartition(".")[2] for path in snapshot.names if path.rpartition(".")[0] == module}
        modules = {name for name in stated if snapshot.names[f"{module}.{name}"].kind == "module"}
        assert set(importlib.import_module(module).__all__) == stated - (modules - set(sternpost.__all__))
    for path, fact in snapshot.names.items():
        assert fact.kind == "module" or resolve(path) is not None


def test_every_name_is_understood(snapshot: Snapshot):
    """No definition of ours is hidden from the guard."""
    assert [fact.owner for fact in snapshot.kind("name")] == []


def test_fields_and_defaults(snapshot: Snapshot):
    """Each default that is a literal is the one that the dataclass has, and each field of ours is stated."""
    for fact in snapshot.kind("class"):
        class_ = resolve(fact.owner)
        if not dataclasses.is_dataclass(class_):
            continue
        real = {field.name: field for field in dataclasses.fields(class_)}
        stated = {field.name: field for field in snapshot.owned("field", fact.owner)}
        assert set(stated) <= set(real)
        own = {name for name in vars(class_).get("__annotations__", {}) if not name.startswith("_")}
        assert own <= set(stated)
        for name, field in stated.items():
            assert_default(field, default_of(real[name]))
            assert (field.get("kind") == "keyword-only") == real[name].kw_only


def test_options_after_inherited_ones_go_by_name(snapshot: Snapshot):
    """Nobody can pass them by position, so that the order of ours and of transformers' is nobody's business."""
    configs = [f.owner for f in snapshot.kind("base") if f.name == "transformers.TrainingArguments"]
    assert "sternpost.SFTConfig" in configs
    for owner in configs:
        assert {field.get("kind") for field in snapshot.owned("field", owner)} == {"keyword-only"}


def default_of(field: dataclasses.Field) -> object:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def assert_default(fact: Fact, value: object) -> None:
    text = fact.get("default")
    assert (text is None) == (value in (dataclasses.MISSING, inspect.Parameter.empty)), fact
    if text is not None:
        assert ast.literal_eval(text) == value, fact


def test_signatures(snapshot: Snapshot):
    """Order, kind and default of every argument of every class, function, method and hook that we define."""
    for fact in (*snapshot.kind("function"), *snapshot.kind("class"), *snapshot.kind("method")):
        path = f"{fact.owner}.{fact.name}" if fact.name else fact.owner
        stated = {param.name.lstrip("*"): param for param in snapshot.owned("param", path)}
        if not stated:
            continue
        called = getattr(resolve(fact.owner), fact.name) if fact.name else resolve(path)
        real = dict(inspect.signature(called).parameters)
        real.pop("self", None)
        assert set(stated) == set(real), path
        positional = [p.name for p in real.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        assert positional == [name for name in (fact.get("order") or "").split(",") if name], path
        for name, param in stated.items():
            assert_default(param, real[name].default)


def test_promises_of_the_room(snapshot: Snapshot):
    """The contract is data for the code and for the snapshot alike."""
    assert {fact.name for fact in snapshot.owned("metric", "sternpost.sft")} == set(contract.METRICS)
    assert {fact.name for fact in snapshot.owned("checkpoint", "sternpost.sft")} == set(contract.CHECKPOINT)
    assert {fact.name for fact in snapshot.owned("hook", "sternpost.SFTTrainer")} == set(contract.HOOKS)
    assert {fact.name for fact in snapshot.owned("row", "sternpost.sft")} == set(contract.ROWS)
    columns = {f"{row}.{column}" for row, names in contract.ROWS.items() for column in names}
    assert {fact.name for fact in snapshot.owned("column", "sternpost.sft")} == columns | set(contract.OPTIONAL_COLUMNS)


@pytest.mark.parametrize("command", ["sft", "grpo"])
def test_commands_and_flags(snapshot: Snapshot, command: str):
    """What the command line offers by its own account, aliases and a command's further options included."""
    assert {fact.name for fact in snapshot.kind("command")} == set(COMMANDS)
    options = {option.name: option for option in own_options(load(command).COMMAND)}
    flags = {fact.name.removeprefix("--") for fact in snapshot.owned("flag", f"sternpost:{command}")}
    assert flags == set(options) | {short for short, name in ALIASES.items() if name in options}
    for fact in snapshot.owned("flag", f"sternpost:{command}"):
        owner, _, name = (fact.get("field") or "").rpartition(".")
        assert ("field", owner, name) in snapshot.by_key
        choices = {ast.literal_eval(choice.name) for choice in snapshot.owned("choice", f"{owner}.{name}")}
        assert not options[name].choices or choices == set(options[name].choices)
