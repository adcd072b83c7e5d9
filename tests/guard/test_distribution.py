"""Facts of pyproject.toml."""

from pathlib import Path

import pytest

from sternpost.guard.extract import extract

from . import trees

PROJECT = """
[project]
name = "lib"
version = "1.0.0"
requires-python = ">=3.11,<4"
dependencies = [
    "torch>=2.4,!=2.5.0",
    "Some_Package[fast]~=1.4; python_version < '3.13'",
    "numpy",
    "exact==1.2.*",
    "odd===first",
]

[project.optional-dependencies]
vllm = ["vllm>=0.10,<=0.31"]
all = ["lib[vllm]"]
dev = ["pytest"]

[project.scripts]
lib = "lib.cli:main"

[tool.lib.guard]
package = "lib"
ignore-extras = ["dev"]
"""


def test_ranges_extras_and_scripts(tmp_path: Path):
    """Floors, ceilings and exclusions as data; an extra made of other extras states only itself."""
    snapshot = extract(trees.project(tmp_path, {"pyproject.toml": PROJECT, "lib/__init__.py": ""}))
    assert trees.lines(snapshot) == [
        "dependency lib exact ceiling=<=1.2.* floor=1.2.*",
        "dependency lib numpy",
        "dependency lib odd ceiling=<=first floor=first",
        'dependency lib some-package[fast] floor=1.4 marker="python_version < \\"3.13\\""',
        "dependency lib torch excluded=2.5.0 floor=2.4",
        "dependency lib[vllm] vllm ceiling=<=0.31 floor=0.10",
        "extra lib all",
        "extra lib vllm",
        "module lib tier=stable",
        "python lib ceiling=<4 floor=3.11",
        "script lib lib",
    ]
    assert [str(fact.origin) for fact in snapshot.kind("dependency")][:2] == ["pyproject.toml:10", "pyproject.toml:9"]


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        ("torch>=2.4,!=2.5.0", "torch>=2.4", []),
        ("torch>=2.4,!=2.5.0", "torch>=2.3,!=2.5.0", []),
        ("torch>=2.4,!=2.5.0", "torch>=2.40,!=2.5.0", ["dependency-floor-raised"]),
        ("torch>=2.4,!=2.5.0", "torch>=2.4.0,!=2.5.0", []),
        ('"numpy"', '"numpy>=1"', ["dependency-floor-raised"]),
        ('"numpy"', '"numpy<3"', ["dependency-ceiling-lowered"]),
        ("<=0.31", "<0.32", []),
        ("<=0.31", "<0.31", ["dependency-ceiling-lowered"]),
        ("<=0.31", "", []),
        (">=3.11,<4", ">=3.12,<4", ["python-floor-raised"]),
        ("vllm = ", "vllm-next = ", ["extra-removed"]),
        ('"numpy",', "", []),
    ],
)
def test_what_a_change_of_range_breaks(tmp_path: Path, old: str, new: str, rules: list[str]):
    """Only what somebody has installed and can no longer keep."""
    assert old in PROJECT
    before = {"pyproject.toml": PROJECT, "lib/__init__.py": ""}
    after = {"pyproject.toml": PROJECT.replace(old, new), "lib/__init__.py": ""}
    assert [finding.rule for finding in trees.checked(tmp_path, before, after).breaks] == rules


def test_malformed_requirements_are_problems(tmp_path: Path):
    """With their line; the others still count."""
    text = PROJECT.replace('"numpy"', '"numpy >= what"').replace(">=3.11,<4", "three")
    snapshot = extract(trees.project(tmp_path, {"pyproject.toml": text, "lib/__init__.py": ""}))
    problems = [str(problem) for problem in snapshot.problems]
    assert problems[0].startswith("pyproject.toml: `requires-python` cannot be read")
    assert problems[1].startswith("pyproject.toml:9: 'numpy >= what' is no requirement")
    assert "dependency lib torch excluded=2.5.0 floor=2.4" in trees.lines(snapshot)
