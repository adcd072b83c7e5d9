"""Each break is shown by a consumer that is run: it works on the old side of the rule's pair, not on the new one."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from sternpost.guard.check import GuardError, Verdict
from sternpost.guard.cli import main
from sternpost.guard.extract import extract
from sternpost.guard.report import as_json, as_text
from sternpost.guard.rules import all_rules
from sternpost.guard.snippets import snippet
from sternpost.guard.witness import run, with_witnesses

from . import trees

CASES = Path(__file__).parent / "cases"
MAJOR = sorted(rule.id for rule in all_rules() if rule.bump == "major" and rule.id != "key-removed")
"""Keys are of no promise: their rule blocks nothing."""


def elsewhere(folder: Path) -> Path:
    """Stands for the libraries that the pairs import from."""
    for name, text in (
        ("transformers/__init__.py", "from .trainer import Trainer\nclass TrainingArguments: ...\n"),
        ("transformers/trainer.py", "class Trainer:\n    def __init__(self, *args, **kwargs): ...\n"),
        ("elsewhere/__init__.py", ""),
        ("elsewhere/collators.py", "class Mixin: ...\n"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("rule", MAJOR)
def test_every_break_of_every_pair_has_a_witness(rule: str, tmp_path: Path):
    """Passes on the release that promised it, fails on the tree that breaks it."""
    verdict = trees.case(tmp_path, CASES / rule)
    assert verdict.breaks
    old, new = (trees.settings_of(tmp_path / side) for side in ("old", "new"))
    recorded = extract(old)
    snippets = [snippet(finding, recorded, old.commands or "") for finding in verdict.breaks]
    codes = [code for code in snippets if code is not None]
    assert len(codes) == len(verdict.breaks)
    beside = [elsewhere(tmp_path / "elsewhere")]
    before, after = (run(codes, side, tmp_path / f"run-{side.root.name}", beside) for side in (old, new))
    assert before == [None] * len(codes), list(zip(codes, before, strict=True))
    assert None not in after, list(zip(codes, after, strict=True))


def released(tmp_path: Path) -> Path:
    """A repository whose last commit froze 1.0.0, and a tree that has broken it since."""
    files = {"lib/__init__.py": "def f(a, b=1): ...\n", "pyproject.toml": trees.PYPROJECT, "lib/data.txt": "kept"}
    trees.project(tmp_path, files)
    for arguments in (["snapshot"], ["freeze", "1.0.0"]):
        assert main([*arguments, "--package", str(tmp_path / "lib")]) == 0
    git = ("git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c")
    for command in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "1.0.0")):
        subprocess.run((*git, *command), check=True)
    (tmp_path / "lib/__init__.py").write_text("def f(a, c=1): ...\n")
    return tmp_path / "lib"


def test_the_release_is_found_in_the_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """By the commit that froze its snapshot; the report shows the consumer and what happened to it."""
    package = released(tmp_path)
    assert main(["check", "--package", str(package), "--witness"]) == 1
    told = capsys.readouterr().out
    assert "BREAK argument-renamed" in told
    assert "witness: works on the last release, fails here: TypeError: got an unexpected keyword argument 'b'" in told
    assert "    | from lib import f" in told
    main(["check", "--package", str(package), "--witness", "--format", "json"])
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["witness"]["confirms"] is True


def test_the_release_can_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A folder of it; one that holds something else is refused."""
    package = released(tmp_path / "new")
    trees.project(tmp_path / "old", {"lib/__init__.py": "def f(a, b=1): ...\n"})
    main(["check", "--package", str(package), "--witness", str(tmp_path / "old")])
    assert "fails here" in capsys.readouterr().out
    assert main(["check", "--package", str(package), "--witness", str(tmp_path / "nowhere")]) == 1
    told = capsys.readouterr()
    assert "holds no `lib`" in told.err
    assert "BREAK argument-renamed" in told.out


def test_without_a_history_the_verdict_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """In a copy without git, say; why there are no witnesses is told."""
    package = released(tmp_path)
    shutil.rmtree(tmp_path / ".git")
    assert main(["check", "--package", str(package), "--witness"]) == 1
    told = capsys.readouterr()
    assert "BREAK argument-renamed" in told.out
    assert "there are no witnesses: no revision is tagged v1.0.0" in told.err


def test_what_running_does_not_confirm_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Code that accepts more than it declares: the finding stands, and the doubt with it."""
    package = released(tmp_path)
    text = "def g(a, b=1): ...\n\ndef f(a, c=1): ...\nf.__wrapped__ = g\n"
    (package / "__init__.py").write_text(text)
    main(["check", "--package", str(package), "--witness"])
    assert "does not confirm it: the snippet still works here" in capsys.readouterr().out


def test_without_breaks_nothing_runs(tmp_path: Path):
    """Nor is a release looked for."""
    verdict = Verdict(baseline="1.0.0", findings=())
    assert with_witnesses(verdict, trees.project(tmp_path, {"lib/__init__.py": ""})) is verdict
    assert "witness" not in as_text(verdict) + as_json(verdict)


def test_consumers_that_end_the_process_are_told(tmp_path: Path):
    """A package that kills its interpreter when imported is no verdict."""
    settings = trees.project(tmp_path, {"lib/__init__.py": "import os\nos._exit(3)\n"})
    with pytest.raises(GuardError, match="could not be run"):
        run(["import lib"], settings, tmp_path / "scratch")
    settings = trees.project(tmp_path, {"lib/__init__.py": "raise SystemExit(3)\n"})
    assert run(["import lib", "1"], settings, tmp_path / "again") == ["SystemExit: 3", None]
