"""`guard scan`, as a person runs it."""

import json
from pathlib import Path

import pytest

from sternpost.guard.cli import main
from sternpost.guard.extract import extract
from sternpost.guard.settings import find_settings
from sternpost.guard.snapshot import render

from .projects import BASE, write

NEW = BASE.replace("value=0", "padding_value=0")
CODE = "from lib import pad, Trainer\npad(1, value=2)\nclass T(Trainer):\n    def hook(self, x):\n        return x, 2\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, two source trees of a package, and snapshots of them."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "project", {"app.py": CODE, "requirements.txt": "lib>=1,<3\n"})
    for version, text in (("1.0", BASE), ("2.0", NEW)):
        write(tmp_path / version, {"lib/__init__.py": f"__version__ = '{version}'\n{text}"})
        snapshot = render(extract(find_settings(tmp_path / version / "lib")).facts)
        (tmp_path / "frozen").mkdir(exist_ok=True)
        (tmp_path / "frozen" / f"{version}.txt").write_text(snapshot)
    return tmp_path


def test_between_source_trees(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Exit code 1 for a break, 0 on the same version."""
    arguments = ["scan", "project", "--package", "lib", "--from", "1.0/lib", "--to"]
    assert main([*arguments, "2.0/lib"]) == 1
    assert "lib 1.0 to lib 2.0: 1 error" in capsys.readouterr().out
    assert main([*arguments, "1.0/lib"]) == 0


def test_between_snapshots(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Arguments, overrides and fields as the facts state them."""
    arguments = ["scan", "project", "--package", "lib", "--from", "frozen/1.0.txt", "--to", "frozen/2.0.txt"]
    assert main([*arguments, "--format", "json"]) == 1
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert [(hit["rule"], hit["symbol"]) for hit in hits] == [("argument-gone", "lib.pad(value)")]


def test_a_range(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Which versions work, against what the metadata says."""
    arguments = ["scan", "project", "--package", "lib", "--from", "1.0/lib", "--range"]
    assert main([*arguments, "1.0/lib,2.0/lib"]) == 0
    out = capsys.readouterr().out
    assert "works with lib 1.0 (as it does with 1.0); declared but broken: 2.0" in out
    assert (
        main(["scan", "project", "--package", "lib", "--from", "1.0/lib", "--range", "frozen", "--format", "json"]) == 0
    )
    data = json.loads(capsys.readouterr().out)
    assert [(v["version"], v["works"], v["declared"]) for v in data["versions"]] == [
        ("1.0", True, True),
        ("2.0", False, True),
    ]


WRONG = {
    "--from 1.0/lib": "either `--to NEW` or `--range VERSIONS`",
    "--from 1.0/lib --to 2.0/lib --range frozen": "either `--to NEW` or `--range VERSIONS`",
    "--from nowhere --to 2.0/lib": "`nowhere` is neither",
    "--from 1.0/lib --range project": "holds neither snapshots",
}


@pytest.mark.parametrize("words", sorted(WRONG))
def test_wrong_usage_is_said(words: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    """In one line, with exit code 2."""
    assert main(["scan", "project", "--package", "lib", *words.split()]) == 2
    assert WRONG[words] in capsys.readouterr().err


def test_a_project_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Its path is named."""
    assert main(["scan", "none", "--package", "lib", "--from", "1.0/lib", "--to", "2.0/lib"]) == 2
    assert "`none` does not exist" in capsys.readouterr().err


def test_a_range_as_a_page(folder: Path, capsys: pytest.CaptureFixture[str]):
    """A row for each version; formats that put hits on lines have nothing to say."""
    arguments = ["scan", "project", "--package", "lib", "--from", "1.0/lib", "--range", "1.0/lib,2.0/lib", "--format"]
    assert main([*arguments, "markdown"]) == 0
    out = capsys.readouterr().out
    assert "| 1.0 | yes | yes | 0 |\n| 2.0 | yes | no | 1 |" in out
    assert "- **argument-gone** `lib.pad` no longer takes `value`. 2.0: `app.py:2`" in out
    assert main([*arguments, "sarif"]) == 2
    assert "`--range` is told as text or json or markdown" in capsys.readouterr().err


def test_a_snapshot_beside_sources(folder: Path, capsys: pytest.CaptureFixture[str]):
    """The sources are read as a snapshot too: what a snapshot does not say is not gone."""
    (folder / "project" / "more.py").write_text(
        "from lib import Trainer\nclass U(Trainer):\n    x = lambda self: self.width\n"
    )
    arguments = ["scan", "project", "--package", "lib", "--from", "1.0/lib", "--to"]
    assert main([*arguments, "frozen/1.0.txt"]) == 0
    assert main([*arguments, "frozen/2.0.txt", "--format", "json"]) == 1
    hits = json.loads(capsys.readouterr().out.partition("\n{")[2].join(("{", "")))["hits"]
    assert {hit["symbol"] for hit in hits if hit["level"] == "error"} == {"lib.pad(value)"}


BROKEN = {"syntax": b"def (", "encoding": b"\xff\xfe", "a module of it": b"from .core import pad"}


@pytest.mark.parametrize("side", ["1.0", "2.0"])
@pytest.mark.parametrize("how", sorted(BROKEN))
def test_a_version_that_cannot_be_read_is_no_clean_bill(
    how: str, side: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    """Exit code 2 where the project leads into such a file; what it does not touch is nobody's concern."""
    (folder / "project" / "app.py").write_text("from lib import pad\npad(1)\n")
    (folder / "2.0/lib/__init__.py").write_text(BASE)
    (folder / side / "lib/core.py").write_text("def (")
    arguments = ["scan", "project", "--package", "lib", "--from", "1.0/lib", "--to", "2.0/lib"]
    assert main(arguments) == 0
    (folder / side / "lib/__init__.py").write_bytes(BROKEN[how])
    assert main(arguments) == 2
    assert "cannot read  lib/" in capsys.readouterr().out


def test_a_project_in_utf_16_is_not_passed_over(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Python could not read it either."""
    (folder / "project" / "app.py").write_text(CODE, encoding="utf-16")
    assert main(["scan", "project", "--package", "lib", "--from", "1.0/lib", "--to", "2.0/lib"]) == 2
    assert "app.py: cannot be read: Python takes no UTF-16" in capsys.readouterr().out
