"""`--help` is complete, says what the sources say, and comes at once."""

import importlib.metadata
import subprocess
import sys
import time

import pytest

from sternpost.cli import COMMANDS, load, main
from sternpost.cli.fields import PACKAGE, read_options
from sternpost.cli.sft import COMMAND
from sternpost.cli.training import all_options, help_page

LIGHT = """
import sys
from sternpost.cli import main
code = main({argv!r})
heavy = [name for name in ("torch", "transformers", "datasets", "accelerate") if name in sys.modules]
print("code", code, "heavy", heavy, file=sys.stderr)
"""


def run_light(*argv: str) -> tuple[str, float]:
    """What a fresh process says last about the command it ran, and how long that took, in seconds."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", LIGHT.format(argv=list(argv))], capture_output=True, text=True)
    return done.stderr.splitlines()[-1], time.perf_counter() - began


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["sft", "--help"], 0),
        (["sft", "--help-all"], 0),
        (["grpo", "--help"], 0),
        (["rloo", "--model", "demo", "--dataset", "demo:prompts", "--reward_funcs", "acuracy_reward"], 2),
        (["sft", "--learning_rate", "high"], 2),
        (["sft", "--model", "demo", "--dataset", "demo:mesages"], 2),
        (["sft", "--model", "demo", "--dataset", "missing.jsonl"], 2),
        (["sft", "--num_procs", "2"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_help_and_mistakes_load_nothing_heavy(argv, code):
    """Neither help nor an error that the options alone show imports torch or transformers; both come within a second.

    On a quiet core they take 0.2 s; the bound leaves room for a busy machine, and importing torch would break it.
    """
    answers = [run_light(*argv) for _ in range(2)]
    assert answers[0][0] == f"code {code} heavy []"
    assert min(seconds for _, seconds in answers) < 1.5


def test_overview_names_every_command(capsys):
    """Each command is listed with the first line of its docstring; without a command the overview is an error."""
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command:<8}{load(command).__doc__.splitlines()[0]}" in text
    assert main([]) == 2
    assert main(["sff"]) == 2
    assert "no command sff, only sft, reward, dpo, rloo, grpo, guard, env. Did you mean sft?" in capsys.readouterr().err


def test_help_shows_every_option_and_documents_ours():
    """Every option is on the page; ours with the sentence below the field, in the groups of the source, in order."""
    page = " ".join(help_page(COMMAND, full=False).split())
    for option in all_options(COMMAND):
        assert f"--{option.name}" in page, option.name
    positions = [
        page.index(" ".join(option.doc.split())) for option in read_options(PACKAGE / "sft" / "config.py", "SFTConfig")
    ]
    assert positions == sorted(positions)
    assert "Memory --activation_offloading" in page
    assert "--model, --model_name_or_path TEXT" in page
    assert "--loss_type {nll,dft} (default: nll)" in page


def test_full_help_documents_what_is_inherited():
    """`--help-all` adds the documentation of transformers, `--help` only names its options."""
    sentence = "Total number of training epochs to perform."
    assert sentence not in help_page(COMMAND, full=False)
    assert sentence in help_page(COMMAND, full=True)


def test_env_prints_versions(capsys):
    """The list for a bug report names our version and torch's."""
    import sternpost

    assert main(["env"]) == 0
    text = capsys.readouterr().out
    assert f"- sternpost: {sternpost.__version__}\n" in text
    assert f"- torch: {importlib.metadata.version('torch')}\n" in text
    assert main(["env", "--all"]) == 2


def test_guard_gets_its_arguments(monkeypatch):
    """`sternpost guard ...` is the guard's own command line."""
    import sternpost.guard.cli

    seen = []
    monkeypatch.setattr(sternpost.guard.cli, "main", lambda argv: seen.append(argv) or 7)
    assert main(["guard", "check", "--help"]) == 7
    assert seen == [["check", "--help"]]
