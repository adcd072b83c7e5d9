"""The package's front door: light to open, and everything that its sign announces is inside."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sternpost

ROOT = Path(__file__).parents[1]


def run_python(source: str) -> str:
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_loads_nothing_heavy():
    """`import sternpost` loads none of the libraries that take seconds."""
    loaded = run_python("import sternpost, sys; print(*sys.modules)").split()
    assert not {"torch", "transformers", "datasets", "accelerate", "numpy", "rich"} & set(loaded)


def test_importing_is_quick():
    """The import itself takes less than 0.15 s, in the best of five tries on a busy machine."""
    source = "import time; start = time.perf_counter(); import sternpost; print(time.perf_counter() - start)"
    assert min(float(run_python(source)) for _ in range(5)) < 0.15


@pytest.mark.parametrize("name", sternpost.__all__)
def test_every_announced_name_is_there(name: str):
    """Each name of `__all__` can be got from the package, and `dir` shows it before it has been used."""
    assert name in dir(sternpost)
    assert getattr(sternpost, name) is not None


def test_all_is_sorted_and_without_duplicates():
    """`__all__` can be read by a person, and changes to it show as one line in a diff."""
    assert sternpost.__all__ == sorted(set(sternpost.__all__))


def test_star_import_gives_exactly_what_is_announced():
    """`from sternpost import *` binds the names of `__all__` and nothing else."""
    namespace: dict[str, object] = {}
    exec("from sternpost import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(sternpost.__all__)


def test_unknown_name_is_an_attribute_error():
    """A name that is not there is reported as Python reports it for any module."""
    with pytest.raises(AttributeError, match="no_such_trainer"):
        sternpost.no_such_trainer  # noqa: B018


def test_version_is_the_distributions():
    """One version: what `pip show` says is what `sternpost.__version__` says."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == sternpost.__version__
