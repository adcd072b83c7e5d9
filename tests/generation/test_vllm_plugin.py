"""vLLM finds the way to receive weights by itself, and is not held up where it is not wanted."""

import sys
import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from sternpost.generation.vllm_plugin import NAME, register

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


class Factory:
    """As vLLM's: it takes each name once."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, str]] = {}

    def register_engine(self, name: str, module: str, class_name: str) -> None:
        if name in self.known:
            raise ValueError(f"Weight transfer engine '{name}' is already registered.")
        self.known[name] = module, class_name


def test_it_is_installed_as_a_plugin():
    """Under the group that vLLM loads; the entry names the function."""
    module, _, function = PROJECT["entry-points"]["vllm.general_plugins"]["sternpost"].partition(":")
    assert getattr(import_module(module), function) is register


def test_it_registers_once(monkeypatch: pytest.MonkeyPatch):
    """vLLM may load plugins more than once in a process; the engine's module exists."""
    factory = Factory()
    name = "vllm.distributed.weight_transfer.factory"
    for part in ("vllm", "vllm.distributed", "vllm.distributed.weight_transfer"):
        monkeypatch.setitem(sys.modules, part, ModuleType(part))
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(WeightTransferEngineFactory=factory))
    register()
    register()
    assert factory.known == {NAME: ("sternpost.generation.vllm_receiver", "WeightReceiver")}
    path = Path(__file__).parents[2] / "lib" / Path(*factory.known[NAME][0].split(".")).with_suffix(".py")
    assert "class WeightReceiver(" in path.read_text()


def test_an_old_vllm_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    """Without weight transfer there is nothing to register, and nothing to complain of."""
    monkeypatch.setitem(sys.modules, "vllm", None)
    register()
