"""What users install: the built wheel holds everything, works outside the checkout, and states honest ranges."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lib" / "sternpost"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = {
    str(requirement): requirement
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in map(Requirement, group)
    if requirement.name
    # vllm needs an accelerator's build of torch, the other two bring dozens of packages: not in these environments.
    not in ("sternpost", "vllm", "reasoning-gym", "verifiers")
}


def read_pins(name: str) -> dict[str, Version]:
    lines = (ROOT / "constraints" / name).read_text().splitlines()
    pins = [line.split("==") for line in lines if "==" in line]
    return {canonicalize_name(name): Version(version) for name, version in pins}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the backend that pip would call, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = f"import hatchling.build; print(hatchling.build.build_wheel({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def test_wheel_holds_every_file_of_the_package(wheel: Path):
    """Demo model and data, templates, styles and the typing marker are all in it, not only Python files."""
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "lib/sternpost"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    files = {path.removeprefix("lib/") for path in listed if (ROOT / path).exists()}
    with zipfile.ZipFile(wheel) as archive:
        missing = files - set(archive.namelist())
    assert "sternpost/py.typed" in files
    assert any(path.startswith("sternpost/demo/assets/model/") for path in files)
    assert not missing


def test_wheel_holds_nothing_else(wheel: Path):
    """No tests, caches or environments travel along."""
    with zipfile.ZipFile(wheel) as archive:
        strangers = [name for name in archive.namelist() if not name.startswith(("sternpost/", "sternpost-"))]
        assert not strangers
        assert not [name for name in archive.namelist() if "__pycache__" in name]


def test_demo_keeps_the_wheel_small(wheel: Path):
    """The embedded demo may take up 8 MB at most."""
    assert sum(path.stat().st_size for path in (PACKAGE / "demo").rglob("*") if "__pycache__" not in path.parts) < 8e6
    assert wheel.stat().st_size < 9e6


def test_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path):
    """Unpacked elsewhere, it gives the version, the demo's files, and what it announces: its command, vLLM's plugin."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    source = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import sternpost, sternpost.demo, importlib.metadata as metadata\n"
        "print(sternpost.__file__, sternpost.demo.path())\n"
        f"distribution = next(metadata.distributions(name='sternpost', path=[{str(tmp_path)!r}]))\n"
        "print(distribution.version, *(entry.load().__module__ for entry in distribution.entry_points))\n"
    )
    done = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    where, demo, version, *announced = done.stdout.split()
    assert Path(where).is_relative_to(tmp_path)
    assert Path(demo, "model.safetensors").is_file()
    assert version == PROJECT["version"]
    assert sorted(announced) == ["sternpost.cli", "sternpost.generation.vllm_plugin"]


@pytest.mark.parametrize("requirement", REQUIREMENTS.values(), ids=REQUIREMENTS)
def test_floors_are_the_versions_that_are_tested(requirement: Requirement):
    """The lowest version that each range admits is the one that `nox -s minimums` installs."""
    floors = [Version(part.version) for part in requirement.specifier if part.operator == ">="]
    pinned = read_pins("minimums.txt")[canonicalize_name(requirement.name)]
    assert floors == [pinned]


@pytest.mark.parametrize("requirement", REQUIREMENTS.values(), ids=REQUIREMENTS)
def test_pins_are_within_the_ranges(requirement: Requirement):
    """CI tests a version that the package admits."""
    assert read_pins("ci.txt")[canonicalize_name(requirement.name)] in requirement.specifier


def test_pins_work_on_any_machine():
    """No pin names a local build (`+cpu`), an address or a path of one machine."""
    for path in (ROOT / "constraints").glob("*.txt"):
        for line in path.read_text().splitlines():
            assert re.fullmatch(r"#.*|-c [\w.]+|[\w.-]+==[\w.]+", line), f"{path.name}: {line}"
