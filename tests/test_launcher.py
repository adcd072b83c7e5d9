"""The launcher ./nox: the Python it takes, what it does when creation was cut short, what it says when it gives up.

The parts that install something run in the real world each time anybody starts ./nox; these tests are quick ones.
"""

import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
LAUNCHER = ROOT / "nox"


@pytest.fixture
def launcher(tmp_path: Path) -> ModuleType:
    """A copy of the launcher as a module, so that what it makes lands in `tmp_path`."""
    shutil.copy(LAUNCHER, tmp_path / "nox")
    (tmp_path / "constraints").mkdir()
    (tmp_path / "constraints" / "nox.txt").write_text("nox==1\n")
    loader = importlib.machinery.SourceFileLoader("launcher", str(tmp_path / "nox"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("launcher", loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def installing(launcher: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Creation without the network: environments are real but empty, and each creation is recorded."""
    created = []

    def find_installer(path: Path, variables: dict[str, str]) -> list[str]:
        created.append(path)
        return [sys.executable, "-c", ""]

    monkeypatch.setattr(launcher, "find_installer", find_installer)
    return created


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def start(arguments: list[str], **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(arguments, env=variables, capture_output=True, text=True, timeout=60, cwd="/")


def test_it_is_executable_and_python_too():
    """`./nox` works from a clone: the bit is set, sh starts it, and Python can read the same file."""
    assert os.access(LAUNCHER, os.X_OK)
    assert LAUNCHER.read_text().startswith("#!/bin/sh\n")
    compile(LAUNCHER.read_text(), "nox", "exec")


def test_old_pythons_are_passed_over(tmp_path: Path):
    """A shim that fails and a Python that is too old are skipped; the next one on PATH is started."""
    write_program(tmp_path / "bin" / "python3", "echo 'pyenv: python3: command not found' >&2; exit 127")
    write_program(tmp_path / "bin" / "python", "exit 1")
    write_program(tmp_path / "bin" / "python3.11", 'case "$2" in -c) exit 0;; esac; shift 2; echo "$0 got $*"')
    done = start([str(LAUNCHER), "-s", "two words"], PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin", HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'bin' / 'python3.11'} got -s two words\n")


def test_pythons_of_pyenv_are_found(tmp_path: Path):
    """A version that pyenv has installed but not selected is used when PATH offers none."""
    copy = isolated_copy(tmp_path)
    write_program(tmp_path / "pyenv" / "versions" / "3.9.1" / "bin" / "python3", "exit 1")
    write_program(tmp_path / "pyenv" / "versions" / "3.13.0" / "bin" / "python3", 'echo "pyenv $*"')
    done = start(["/bin/sh", str(copy), "-l"], PATH="", PYENV_ROOT=str(tmp_path / "pyenv"))
    assert (done.returncode, done.stdout) == (0, f"pyenv -I {copy} -l\n")


def test_without_any_python_it_says_what_to_install(tmp_path: Path):
    """No Python at all: exit status 1, and the message names the version wanted and a way to get it."""
    done = start(["/bin/sh", str(isolated_copy(tmp_path))], PATH=str(tmp_path), HOME=str(tmp_path))
    assert done.returncode == 1
    assert "Python 3.11" in done.stderr
    assert "apt-get install python3" in done.stderr


def isolated_copy(tmp_path: Path) -> Path:
    """The launcher as on a machine without the Pythons that this one has outside PATH."""
    copy = tmp_path / "nox"
    copy.write_text(LAUNCHER.read_text().replace(" /usr/bin/python3 /usr/local/bin/python3", ""))
    return copy


def test_an_environment_is_made_once(launcher: ModuleType, installing: list[Path]):
    """The second start finds what the first one made."""
    first = launcher.ready_environment(dict(os.environ))
    assert launcher.ready_environment(dict(os.environ)) == first
    assert installing == [first]


def test_an_interrupted_creation_is_done_again(launcher: ModuleType, installing: list[Path]):
    """An environment without the mark that comes last is made anew, leftovers and all."""
    path = launcher.environment_path(launcher.PINS.read_text(), launcher.HOME)
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").touch()
    (path / "leftover").touch()
    assert launcher.ready_environment(dict(os.environ)) == path
    assert installing == [path]
    assert not (path / "leftover").exists()


def test_a_vanished_python_is_noticed(launcher: ModuleType, installing: list[Path]):
    """An environment whose Python was removed (an upgrade, pyenv uninstall) is made anew."""
    path = launcher.ready_environment(dict(os.environ))
    (path / "bin" / "python").unlink()
    (path / "bin" / "python").symlink_to("/no/such/python")
    launcher.ready_environment(dict(os.environ))
    assert len(installing) == 2


def test_other_pins_get_an_environment_of_their_own(launcher: ModuleType, installing: list[Path]):
    """A change of pins never touches an environment that another start may be using."""
    first = launcher.ready_environment(dict(os.environ))
    launcher.PINS.write_text("nox==2\n")
    assert launcher.ready_environment(dict(os.environ)) != first
    assert launcher.is_ready(first)


def test_starts_at_the_same_time_make_one_environment(launcher: ModuleType, installing: list[Path]):
    """Of several starts one creates, the others wait for it."""
    starts = [threading.Thread(target=launcher.ready_environment, args=(dict(os.environ),)) for _ in range(4)]
    for thread in starts:
        thread.start()
    for thread in starts:
        thread.join()
    assert len(installing) == 1


def test_a_failed_installation_shows_why_and_is_not_taken_for_done(
    launcher: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    """The installer's own words reach the reader, and the next start tries again."""
    failing = [sys.executable, "-c", "import sys; print('no route to index'); sys.exit(1)"]
    monkeypatch.setattr(launcher, "find_installer", lambda path, variables: failing)
    with pytest.raises(launcher.LauncherError, match="no route to index"):
        launcher.ready_environment(dict(os.environ))
    assert not launcher.is_ready(launcher.environment_path(launcher.PINS.read_text(), launcher.HOME))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("ensurepip", ["{python}", "-I", "-m", "pip", "install"]),
        ("--python {python}", ["{own}", "-E", "-m", "pip", "--python", "{python}", "install"]),
        ("virtualenv --clear", ["{python}", "-I", "-m", "pip", "install"]),
    ],
)
def test_ways_to_install_are_tried_in_order(
    launcher: ModuleType, monkeypatch: pytest.MonkeyPatch, answers: str, expected: list[str]
):
    """ensurepip; else a pip that exists already; else virtualenv, which brings one."""
    path = Path("/env")
    names = {"python": str(path / "bin" / "python"), "own": sys.executable}

    def attempt(command: list[object], variables: dict[str, str]) -> tuple[bool, str]:
        return answers.format(**names) in " ".join(str(part) for part in command), ""

    monkeypatch.setattr(launcher, "attempt", attempt)
    monkeypatch.setattr(launcher.shutil, "which", lambda name: None)
    command = [str(part) for part in launcher.find_installer(path, {})]
    assert command == [part.format(**names) for part in expected]


def test_without_any_way_to_install_it_names_the_package(launcher: ModuleType, monkeypatch: pytest.MonkeyPatch):
    """Debian's Python with neither ensurepip nor pip: one error with the line that helps."""
    monkeypatch.setattr(launcher, "attempt", lambda command, variables: (False, ""))
    monkeypatch.setattr(launcher.shutil, "which", lambda name: None)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(launcher.LauncherError, match=f"apt-get install python{version}-venv"):
        launcher.find_installer(Path("/env"), {})


def test_foreign_settings_are_dropped_and_pips_index_stays(launcher: ModuleType):
    """Another environment's paths must not leak in; where a machine gets its packages from is its own business."""
    before = {
        "PYTHONPATH": "/other",
        "VIRTUAL_ENV": "/other",
        "PIP_TARGET": "/other",
        "PIP_INDEX_URL": "u",
        "HOME": "h",
    }
    clean = launcher.clean_environment(before)
    assert not {"PYTHONPATH", "VIRTUAL_ENV", "PIP_TARGET"} & set(clean)
    assert (clean["PIP_INDEX_URL"], clean["HOME"], clean["PIP_USER"]) == ("u", "h", "0")
