"""The commands, as a person runs them."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sternpost.guard.cli import main

from . import trees

OLD = {
    "pyproject.toml": trees.PYPROJECT,
    "lib/__init__.py": "from .a import C, f\n__all__ = ['C', 'f']",
    "lib/a.py": "class C: ...\ndef f(a=1): ...\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a snapshot, entered."""
    trees.project(tmp_path, OLD)
    monkeypatch.chdir(tmp_path)
    assert main(["snapshot"]) == 0
    return tmp_path


def test_snapshot_check_freeze(project: Path, capsys: pytest.CaptureFixture[str]):
    """From nothing to a frozen release to a break of it."""
    assert main(["check"]) == 2
    assert "holds no frozen snapshot" in capsys.readouterr().err
    assert main(["freeze", "1.0.0"]) == 0
    assert (project / "api_snapshots/1.0.0.txt").read_text() == (project / "api_snapshots/next.txt").read_text()
    assert main(["check"]) == 0
    assert "nothing that was promised is broken" in capsys.readouterr().out
    (project / "lib/a.py").write_text("class C: ...\ndef f(a=2): ...\n")
    assert main(["snapshot"]) == 0
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert "BREAK argument-default-changed" in out
    assert re.search(r"old: +a = 1 +\(api_snapshots/1\.0\.0\.txt:\d+\)", out)
    assert "(lib/a.py:2)" in out


def test_check_says_how_to_refresh(project: Path, capsys: pytest.CaptureFixture[str]):
    """An addition breaks nobody, but it must be in `next.txt`, where review sees it."""
    main(["freeze", "1.0.0"])
    (project / "lib/a.py").write_text("class C: ...\ndef f(a=1, b=2): ...\n")
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert "2 lines are missing, 1 no longer hold. Run `sternpost guard snapshot`" in out
    assert main(["snapshot"]) == 0
    assert main(["check"]) == 0
    (project / "api_snapshots/next.txt").unlink()
    assert main(["check"]) == 1


def test_the_newest_release_is_the_baseline(project: Path, capsys: pytest.CaptureFixture[str]):
    """By version, not by name: 1.10 comes after 1.9."""
    for version in ("1.9.0", "1.10.0"):
        assert main(["freeze", version]) == 0
    main(["check"])
    assert "since 1.10.0" in capsys.readouterr().out


def test_a_tree_can_be_asked_for_as_a_version(project: Path, capsys: pytest.CaptureFixture[str]):
    """Whether it may be released as that, whatever pyproject.toml says; `freeze` asks the same."""
    main(["freeze", "1.0.0"])
    (project / "lib/a.py").write_text("class C: ...\ndef f(a=1): ...\n\ndef g(): ...\n")
    (project / "lib/__init__.py").write_text("from .a import C, f, g\n__all__ = ['C', 'f', 'g']")
    main(["snapshot"])
    capsys.readouterr()
    assert main(["check", "--as", "1.1.0"]) == 0
    assert main(["check", "--as", "1.0.1"]) == 1
    assert "1.0.1 is a patch release after 1.0.0; the changes need a minor one." in capsys.readouterr().out
    assert main(["freeze", "1.0.1"]) == 1
    assert "the changes need a minor one" in capsys.readouterr().err
    assert main(["freeze", "1.1.0"]) == 0
    assert main(["check", "--as", "soon"]) == 2


def test_freeze_refuses(project: Path, capsys: pytest.CaptureFixture[str]):
    """What is frozen stays, what is stale or broken is not promised, and a version is a version."""
    assert main(["freeze", "1.0.0"]) == 0
    assert main(["freeze", "1.0.0"]) == 2
    assert "is frozen" in capsys.readouterr().err
    assert main(["freeze", "latest"]) == 2
    (project / "lib/a.py").write_text("class C: ...\ndef f(a=3): ...\n")
    assert main(["freeze", "1.1.0"]) == 1
    (project / "lib/a.py").write_text("def f(")
    assert main(["freeze", "1.1.0"]) == 2
    assert sorted(file.name for file in (project / "api_snapshots").iterdir()) == ["1.0.0.txt", "next.txt"]


def test_files_that_cannot_be_read(project: Path, capsys: pytest.CaptureFixture[str]):
    """Exit code 2, an error for the file, and findings for the rest."""
    main(["freeze", "1.0.0"])
    (project / "lib/b.py").write_text("def f(a=2): ...")
    (project / "lib/a.py").write_text("def f(")
    (project / "lib/__init__.py").write_text("from .a import C\nfrom .b import f\n__all__ = ['C', 'f']")
    assert main(["snapshot"]) == 2
    assert "lib/a.py:1: cannot be parsed" in capsys.readouterr().err
    assert main(["check"]) == 2
    out = capsys.readouterr().out
    assert "cannot read  lib/a.py:1" in out
    assert out.count("BREAK") == 1
    assert "argument-default-changed" in out


def test_json(project: Path, capsys: pytest.CaptureFixture[str]):
    """The same verdict as data, with the same places."""
    main(["freeze", "1.0.0"])
    (project / "lib/a.py").write_text("class C: ...\n\ndef f(b=1): ...\n")
    main(["snapshot"])
    capsys.readouterr()
    assert main(["check", "--format", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert {key: data[key] for key in ("format", "baseline", "bump", "exit", "stale", "problems")} == {
        "format": 1,
        "baseline": "1.0.0",
        "bump": "major",
        "exit": 1,
        "stale": None,
        "problems": [],
    }
    (finding,) = data["findings"]
    assert finding["rule"] == "argument-renamed"
    assert finding["new_at"] == {"file": "lib/a.py", "line": 3}
    assert finding["old_at"]["file"] == "api_snapshots/1.0.0.txt"


def test_another_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Any directory, with no pyproject.toml, to the terminal."""
    trees.project(tmp_path, {"lib/__init__.py": "def f(a): ..."})
    assert main(["snapshot", "--package", str(tmp_path / "lib"), "--output", "-"]) == 0
    assert "function lib.f order=a tier=stable" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ([], 2, "required: COMMAND"),
        (["check", "--format", "xml"], 2, "invalid choice"),
        (["nonsense"], 2, "invalid choice"),
        (["check", "--package", "no/such/place"], 2, "does not exist"),
        (["--help"], 0, ""),
    ],
)
def test_usage(argv: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]):
    """Wrong usage is exit code 2 with a reason, returned and not raised."""
    assert main(argv) == code
    assert message in capsys.readouterr().err


def test_a_snapshot_that_is_damaged(project: Path, capsys: pytest.CaptureFixture[str]):
    """A merge conflict in a frozen file is named with its line."""
    main(["freeze", "1.0.0"])
    frozen = project / "api_snapshots/1.0.0.txt"
    lines = frozen.read_text().count("\n")
    frozen.write_text(frozen.read_text() + "<<<<<<< HEAD\n")
    assert main(["check"]) == 2
    assert f"api_snapshots/1.0.0.txt:{lines + 1}: " in capsys.readouterr().err


def test_without_griffe_it_says_what_to_install(project: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """griffe is an extra."""
    monkeypatch.setitem(sys.modules, "griffe", None)
    assert main(["check"]) == 2
    assert "pip install 'sternpost[guard]'" in capsys.readouterr().err


def test_it_is_fast(project: Path):
    """A check starts and ends well under two seconds, in processor time, and loads nothing heavy."""
    main(["freeze", "1.0.0"])
    code = (
        "import sys, time; from sternpost.guard.cli import main; main(['check']);"
        "heavy = {'torch', 'transformers', 'numpy', 'datasets'} & set(sys.modules);"
        "print(heavy or '', time.process_time())"
    )
    started = time.monotonic()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(run.stdout.split()[-1]) < 2, time.monotonic() - started
    assert "{" not in run.stdout
