"""What is particular to `sternpost grpo` and `sternpost rloo`: where rewards come from."""

import json
import sys

import pytest

from sternpost.cli import load, main
from sternpost.cli.training import all_options, help_page, own_options

BASE = [
    "--model", "demo", "--dataset", "demo:prompts", "--per_device_train_batch_size", "4", "--num_generations", "2",
    "--max_completion_length", "6", "--save_strategy", "no", "--use_cpu", "--no_bf16", "--max_steps", "1",
    "--logging_steps", "1",
]  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with rewards of the user's."""
    (tmp_path / "cli_judges.py").write_text(
        "def brief(completions): return [-float(len(each)) for each in completions]\n"
        "def matches(completions, answer): return [float(a in c) for a, c in zip(answer, completions)]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    yield tmp_path
    sys.modules.pop("cli_judges", None)


@pytest.mark.parametrize("command", ["grpo", "rloo"])
def test_rewards_by_name(here, capsys, command):
    """Ready-made ones and functions of the working directory, with a weight for each; columns of rows reach them."""
    rewards = ["--reward_funcs", "think_format_reward", "cli_judges.brief", "cli_judges.matches"]
    assert main([command, *BASE, *rewards, "--reward_weights", "1", "0", "2", "--output_dir", "out"]) == 0
    line, *_, last = capsys.readouterr().out.splitlines()
    for name in ("think_format_reward", "brief", "matches"):
        assert f"rewards/{name}/mean=" in line
    assert last == "Saved the model to out."
    assert (here / "out" / "model.safetensors").is_file()


def test_reward_models_come_first(here, capsys):
    """`--reward_model_name_or_path` is a reward too, the first one of `reward_weights`, beside adapters and held-out
    rows."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from sternpost import demo

    tokenizer = AutoTokenizer.from_pretrained(demo.path("model"))
    model = AutoModelForSequenceClassification.from_pretrained(demo.path("model"), num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained("judge")
    tokenizer.save_pretrained("judge")
    argv = [
        "--reward_model_name_or_path", "./judge", "--reward_funcs", "cli_judges.brief", "--reward_weights", "0", "1",
        "--use_peft", "--lora_r", "2", "--test_split_size", "2", "--eval_strategy", "steps", "--eval_steps", "1",
        "--per_device_eval_batch_size", "4",
    ]  # fmt: skip
    assert main(["grpo", *BASE, *argv, "--output_dir", "out"]) == 0
    lines = capsys.readouterr().out.splitlines()
    metrics = dict(word.split("=") for word in lines[0].split())
    assert metrics["reward"] == metrics["rewards/brief/mean"]
    assert "rewards/judge/mean" in metrics
    assert any("eval_rewards/judge/mean=" in line for line in lines)
    assert json.loads((here / "out" / "adapter_config.json").read_text())["r"] == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "nothing to learn from: give --reward_funcs"),
        (["--reward_funcs", "think_reward"], "`reward_funcs` names 'think_reward', which is no ready-made reward"),
        (["--reward_model_name_or_path", "./nowhere"], "`reward_model_name_or_path='./nowhere'` is no directory"),
        (["--reward_funcs", "a.b", "--num_generations", "3"], "which is no multiple of `num_generations=3`"),
        (["--reward_funcs", "a.b", "--beta", "-1"], "`beta=-1.0` must not be negative"),
    ],
)
def test_what_is_wrong_is_usage(here, capsys, argv, message):
    """One message, and nothing is loaded."""
    for command in ("grpo", "rloo"):
        assert main([command, *BASE, *argv]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error


def test_rewards_that_cannot_be_imported(here, capsys):
    """A module that is not there, or lacks the function, ends the run with one message."""
    for name, message in (("no_judges.brief", "importing `no_judges` failed"), ("cli_judges.breif", "mean `brief`")):
        assert main(["grpo", *BASE, "--reward_funcs", name]) == 1
        assert message in capsys.readouterr().err


def test_streams_are_refused(here, capsys):
    """Prompts are drawn several times each."""
    assert main(["rloo", *BASE, "--reward_funcs", "cli_judges.brief", "--dataset_streaming"]) == 1
    assert "is a stream" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["grpo", "rloo"])
def test_help_is_complete(command):
    """Every option is documented and in a group, rewards with what they can be named by."""
    module = load(command)
    assert [option.name for option in own_options(module.COMMAND) if not option.doc or not option.group] == []
    page = help_page(module.COMMAND, full=False)
    for option in all_options(module.COMMAND):
        assert f"--{option.name}" in page, option.name
    assert "What judges completions\n  --reward_funcs LIST\n" in page
    assert "--vllm_mode {server,colocate} (default: colocate)" in page
