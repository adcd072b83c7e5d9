"""The front door: `import sternpost` and the names that it announces."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import sternpost


def test_importing_loads_no_heavy_library(assert_light):
    """F1. `import sternpost`, `dir(sternpost)` and `sternpost.__version__` need neither torch nor transformers."""
    source = "import sternpost; dir(sternpost); print(sternpost.__version__)"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", source], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, sternpost.__version__), done.stderr
    assert_light(done.stderr)


@pytest.mark.parametrize("name", sternpost.__all__)
def test_every_announced_name_is_there(name):
    """F2. Every name of `sternpost.__all__` can be imported, and `dir(sternpost)` lists it."""
    assert getattr(sternpost, name) is not None
    assert name in dir(sternpost)


def test_star_import():
    """F3. `from sternpost import *` binds the names of `__all__`, and nothing else."""
    namespace = {}
    exec("from sternpost import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(sternpost.__all__)


def test_room_and_facade_agree():
    """F4. A name that a room announces too is the same object there and in `sternpost`."""
    rooms = [
        importlib.import_module(f"sternpost.{found.name}")
        for found in pkgutil.iter_modules(sternpost.__path__)
        if found.ispkg and importlib.util.find_spec(f"sternpost.{found.name}.contract")
    ]
    assert "sternpost.sft" in [room.__name__ for room in rooms]
    for room in rooms:
        for name in room.__all__:
            assert getattr(room, name) is getattr(sternpost, name, getattr(room, name))


def test_names_by_string():
    """F5. Public classes are found by their path as a string: `sternpost.SFTTrainer`, `sternpost.sft.SFTConfig`."""
    for path in ("sternpost.SFTTrainer", "sternpost.SFTConfig", "sternpost.sft.SFTTrainer", "sternpost.sft.SFTConfig"):
        module, name = path.rsplit(".", 1)
        assert getattr(importlib.import_module(module), name).__name__ == name
