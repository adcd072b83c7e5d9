"""The downstream check itself, on a made-up library with a made-up project: what it catches, and what it admits."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "downstream_ci" / "run.py"

LIBRARY = """
__version__ = "{version}"
def train(*, beta=0.1): return {{"loss": 2.0, "entropy": beta}}
"""
TESTS = """
import sternpost
def test_keyword(): sternpost.train(beta=0.2)
def test_metric(record_property):
    record_property("loss", sternpost.train()["loss"])
    assert "entropy" in sternpost.train()
def test_of_what_is_new(): assert sternpost.evaluate()
def test_of_what_never_was(): assert sternpost.sail()
"""
PROJECTS = '[[project]]\nname = "toy"\npath = "toy"\npytest = ["tests"]\n'


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


def write_library(root: Path, version: str, *edits: tuple[str, str]) -> None:
    text = LIBRARY.format(version=version)
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (root / "lib" / "sternpost" / "__init__.py").write_text(text)


def release(root: Path, version: str, tag: bool = True) -> None:
    """Freeze the library as it stands."""
    (root / "api_snapshots" / f"{version}.txt").write_text("")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", version)
    if tag:
        git(root, "tag", f"v{version}")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A library at version 0.1.0, not released, and a project of four tests, two of which it passes."""
    root = tmp_path / "repository"
    for directory in ("lib/sternpost", "api_snapshots", "downstream_ci/toy/tests"):
        (root / directory).mkdir(parents=True)
    shutil.copy(RUN, root / "downstream_ci")
    (root / "downstream_ci" / "projects.toml").write_text(PROJECTS)
    (root / "downstream_ci" / "toy" / "pytest.ini").write_text("[pytest]\n")
    (root / "downstream_ci" / "toy" / "tests" / "test_toy.py").write_text(TESTS)
    (root / "api_snapshots" / "next.txt").write_text("")
    write_library(root, "0.1.0")
    git(root, "init", "-q")
    return root


def run(root: Path) -> tuple[int, dict, str]:
    """Exit status, what the last line says, and everything that was printed."""
    script = root / "downstream_ci" / "run.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    mark, _, verdict = done.stdout.splitlines()[-1].partition(" ")
    assert mark == "DOWNSTREAM"
    return done.returncode, json.loads(verdict), done.stdout


def names(tests: list[str]) -> list[str]:
    return [test.rsplit("::", 1)[1] for test in tests]


def test_same_code_has_no_difference(repository: Path):
    """A tree that is the release: exit 0; a test that fails with both is shown and blames nobody."""
    release(repository, "0.1.0")
    status, verdict, _ = run(repository)
    toy = verdict["projects"]["toy"]
    assert (status, verdict["verdict"], verdict["release"]) == (0, "passed", "0.1.0")
    assert toy["tree"] == toy["release"] == {"passed": 2, "failed": 2}
    assert toy["regressions"] == toy["repaired"] == []
    assert toy["changed_numbers"] == {}
    assert names(toy["failing_with_both"]) == ["test_of_what_is_new", "test_of_what_never_was"]


def test_regressions_are_caught(repository: Path):
    """A renamed argument and a renamed metric: exit 1, each test by name, with the reason."""
    release(repository, "0.1.0")
    write_library(repository, "0.2.0", ("*, beta=", "*, gamma="), ("beta}", "gamma}"), ("entropy", "mean_entropy"))
    status, verdict, text = run(repository)
    assert (status, verdict["verdict"]) == (1, "failed")
    assert names(verdict["projects"]["toy"]["regressions"]) == ["test_keyword", "test_metric"]
    assert "REGRESSION" in text
    assert "unexpected keyword argument 'beta'" in text


def test_library_that_does_not_import_is_a_failure(repository: Path):
    """A tree whose package cannot be imported: exit 1, with the reason."""
    release(repository, "0.1.0")
    write_library(repository, "0.2.0", ("def train", "deff train"))
    status, verdict, _ = run(repository)
    assert status == 1
    assert "SyntaxError" in verdict["projects"]["toy"]["error"]


def test_tests_that_cannot_be_collected_are_regressions(repository: Path):
    """A name that a test module imports is gone: none of its tests ran, all that passed before are regressions."""
    tests = repository / "downstream_ci" / "toy" / "tests" / "test_toy.py"
    tests.write_text("from sternpost import train\n" + TESTS)
    release(repository, "0.1.0")
    write_library(repository, "0.2.0", ("def train", "def fit"))
    status, verdict, text = run(repository)
    assert status == 1
    assert names(verdict["projects"]["toy"]["regressions"]) == ["test_keyword", "test_metric"]
    assert "did not run" in text


def test_what_is_new_is_information(repository: Path):
    """A test that passes only with the tree does not fail the check."""
    release(repository, "0.1.0")
    write_library(repository, "0.2.0", ("def train", "def evaluate(): return 1\ndef train"))
    status, verdict, _ = run(repository)
    assert status == 0
    assert names(verdict["projects"]["toy"]["repaired"]) == ["test_of_what_is_new"]


def test_changed_numbers_are_shown(repository: Path):
    """A number that a test records and that differs is shown with both values; it does not fail the check."""
    release(repository, "0.1.0")
    write_library(repository, "0.1.1", ('"loss": 2.0', '"loss": 2.5'))
    status, verdict, text = run(repository)
    (numbers,) = verdict["projects"]["toy"]["changed_numbers"].values()
    assert (status, numbers) == (0, [2.0, 2.5])
    assert "2 with the release, 2.5 now" in text


def test_newest_tagged_release_is_compared_with(repository: Path):
    """Versions are ordered as versions, and one that is frozen but not yet tagged leaves the comparison to the last."""
    release(repository, "0.9.0")
    release(repository, "0.10.0")
    release(repository, "0.11.0", tag=False)
    status, verdict, text = run(repository)
    assert (status, verdict["release"]) == (0, "0.10.0")
    assert "v0.11.0 is frozen but has no tag here" in text


@pytest.mark.parametrize("state", ["nothing frozen", "no tag", "no repository"])
def test_first_release_is_admitted(repository: Path, state: str):
    """Without an earlier release that says so, only the tree is tested, and there every failing test counts."""
    if state == "no tag":
        release(repository, "0.1.0", tag=False)
    if state == "no repository":
        (repository / "api_snapshots" / "0.1.0.txt").write_text("")
        shutil.rmtree(repository / ".git")
    status, verdict, text = run(repository)
    assert "There is no earlier release yet" in text
    assert (status, verdict["release"]) == (1, None)
    assert names(verdict["projects"]["toy"]["failing"]) == ["test_of_what_is_new", "test_of_what_never_was"]
    write_library(repository, "0.1.0", ("def train", "def evaluate(): return 1\nsail = evaluate\ndef train"))
    assert run(repository)[0] == 0


def test_project_without_tests_is_a_failure(repository: Path):
    """Testing nothing is not passing."""
    (repository / "downstream_ci" / "toy" / "tests" / "test_toy.py").write_text("")
    status, verdict, text = run(repository)
    assert (status, verdict["verdict"]) == (1, "failed")
    assert "nothing was tested" in text


@pytest.mark.parametrize(
    ("pin", "reason"), [("pytest==0.0.1", "is installed here"), ("no-such-project==1", "not installed")]
)
def test_pins_are_checked(repository: Path, pin: str, reason: str):
    """A project whose pinned version is not what is installed cannot be tested, and that fails the check."""
    (repository / "downstream_ci" / "projects.toml").write_text(f'{PROJECTS}requires = ["{pin}"]\n')
    status, verdict, _ = run(repository)
    assert status == 1
    assert pin in verdict["projects"]["toy"]["error"]
    assert reason in verdict["projects"]["toy"]["error"]
