"""The command trains: from options to a saved model, with plain output, clear failures and a way to go on."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sternpost.cli import launch, main
from sternpost.cli.launch import COMMAND, resume_command, typed_command

BASE = ("--model", "demo", "--dataset", "demo:prompt_completion", "--per_device_train_batch_size", "2", "--use_cpu")
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def start(*argv: str, **options) -> subprocess.Popen:
    words = [sys.executable, "-m", "sternpost.cli", "sft", *argv]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, **options)


def test_config_file_trains_and_saves(tmp_path, capsys):
    """A YAML file is enough; adapter options reach the model; the output holds one plain line per log."""
    config = tmp_path / "run.yaml"
    config.write_text(
        "model: demo\ndatasets:\n  - path: demo:prompt_completion\n    fraction: 1\n  - path: demo:prompt_completion\n"
        f"    fraction: 1\noutput_dir: {tmp_path}/out\nmax_steps: 2\nuse_cpu: true\ntest_split_size: 8\n"
        "eval_strategy: steps\neval_steps: 2\nlogging_steps: 1\nuse_peft: true\nlora_target_modules: [q_proj]\n"
        "save_strategy: 'no'\nlearning_rate: 1e-3\n"
    )
    assert main(["sft", "--config", str(config), "--lora_r", "2"]) == 0
    adapter = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (adapter["r"], adapter["target_modules"]) == (2, ["q_proj"])
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("step=1/2 loss=")
    assert any(line.startswith("step=2/2 eval_loss=") for line in lines)
    assert lines[-1] == f"Saved the model to {tmp_path}/out."
    assert "\x1b" not in captured.out + captured.err
    assert "\r" not in captured.out + captured.err


def test_contradictory_options_are_usage_errors(tmp_path, capsys):
    """What only the config class can know is wrong usage too, in one message."""
    assert main(["sft", *BASE, "--output_dir", str(tmp_path), "--packing", "--max_length", "none"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("sternpost sft: error: `packing` fills sequences of `max_length` tokens")
    assert "Traceback" not in error


@pytest.mark.parametrize("debug", [False, True])
def test_broken_rows_are_one_message(tmp_path, capsys, monkeypatch, debug):
    """A run that cannot start fails with 1 and one line; with `--debug` the traceback is shown too."""
    monkeypatch.setenv("STERNPOST_DEBUG", "")
    rows = tmp_path / "rows.parquet"
    rows.write_bytes(b"PAR1 no")
    argv = ["sft", "--model", "demo", "--dataset", str(rows), "--output_dir", str(tmp_path / "out"), "--use_cpu"]
    assert main(argv + ["--debug"] * debug) == 1
    error = capsys.readouterr().err
    assert f"sternpost sft: error: `dataset_name='{rows}'`: cannot read" in error
    assert ("Traceback" in error) is debug
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no model to train: give --model"),
        (["--model", "demo"], "no rows to train on: give --dataset"),
        (["--model", "./nowhere", "--dataset", "demo:text"], "`model_name_or_path='./nowhere'` is no directory"),
        (["--model", "demo", "--dataset", "a", "--datasets", "b"], "`dataset_name` and `datasets` exclude each other"),
        (["--model", "demo", "--datasets", "{split: train}"], "`datasets[0].path` is missing"),
        (["--model", "demo", "--datasets", "demo:text", "demo:txt"], "`datasets[1].path='demo:txt'` is not a data set"),
        (["--model", "demo", "--dataset", "demo:text", "--mixed_precision", "fp16", "--bf16"], "contradicts `bf16`"),
    ],
)
def test_what_is_missing_is_said(argv, message, capsys):
    """Before anything is loaded."""
    assert main(["sft", *argv]) == 2
    assert message in capsys.readouterr().err


def test_split_to_evaluate_on_must_be_there(tmp_path, capsys):
    """Asking for evaluation where there is no such split says how to get one."""
    assert main(["sft", *BASE, "--output_dir", str(tmp_path / "out"), "--eval_strategy", "epoch"]) == 1
    assert "has no split 'test', only train. Set `test_split_size`" in capsys.readouterr().err


def test_resuming_needs_a_whole_checkpoint(tmp_path, capsys):
    """A checkpoint that was never finished is refused before the model is loaded."""
    (tmp_path / "checkpoint-3").mkdir()
    for argv in (["--resume_from_checkpoint"], ["--resume_from_checkpoint", str(tmp_path / "checkpoint-3")]):
        assert main(["sft", *BASE, "--output_dir", str(tmp_path), *argv]) == 1
        assert "`resume_from_checkpoint=" in capsys.readouterr().err


def test_env_block_is_set_before_anything_heavy(tmp_path):
    """Variables that libraries read when they are imported can be set in the config file."""
    config = tmp_path / "run.yaml"
    config.write_text("model: demo\ndataset: demo:text\nenv:\n  OMP_NUM_THREADS: 3\n")
    source = (
        "import os, sys\nfrom sternpost.cli import main, training\n"
        "training.devices = lambda: 0\n"
        "training.train = lambda *_: print(os.environ['OMP_NUM_THREADS'], 'torch' in sys.modules) or 0\n"
        f"main(['sft', '--config', {str(config)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stdout == "3 False\n", done.stderr


# ---- Interrupting and going on


def interrupt_at_first_log(process: subprocess.Popen) -> tuple[str, str]:
    """Send Ctrl-C once the run has logged; return the printed command and the whole output."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("step="):
            process.send_signal(signal.SIGINT)
            break
    lines += list(process.stdout)
    process.wait(timeout=60)
    return lines[-1].strip(), "".join(lines)


@pytest.mark.slow
def test_interrupt_saves_and_prints_a_command_that_resumes(tmp_path):
    """Ctrl-C ends the run after its step with a whole checkpoint; the printed command goes on from there to the end."""
    options = (
        "--max_steps",
        "60",
        "--logging_steps",
        "5",
        "--save_strategy",
        "no",
        "--output_dir",
        str(tmp_path / "o u t"),
    )
    process = start(*BASE, *options, stderr=subprocess.PIPE)
    command, output = interrupt_at_first_log(process)
    assert process.returncode == 130, output
    assert "SIGINT: saving after this step. Once more stops at once." in process.stderr.read()
    (checkpoint,) = (tmp_path / "o u t").glob("checkpoint-*")
    step = int(checkpoint.name.split("-")[1])
    assert 5 <= step < 60
    assert f"Stopped after step {step}. Resume with:" in output

    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=ENVIRONMENT, cwd="/")
    assert done.returncode == 0, done.stderr
    steps = [
        int(line.split("/")[0].removeprefix("step=")) for line in done.stdout.splitlines() if line.startswith("step=")
    ]
    assert steps[0] == step - step % 5 + 5
    assert steps[-1] == 60
    assert (tmp_path / "o u t" / "model.safetensors").is_file()


@pytest.mark.slow
def test_two_processes_train_as_one_run_and_stop_together(tmp_path):
    """The launcher's flags start two workers that share the steps; Ctrl-C stops both after the same step."""
    options = (
        "--max_steps",
        "400",
        "--logging_steps",
        "2",
        "--output_dir",
        str(tmp_path),
        "--num_processes",
        "2",
        "--cpu",
    )
    process = start(*BASE, *options)
    command, output = interrupt_at_first_log(process)
    assert process.returncode == 130, output
    (checkpoint,) = tmp_path.glob("checkpoint-*")
    assert {"trainer_state.json", "rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in checkpoint.iterdir()}
    assert shlex.split(command)[3:] == ["sft", *BASE, *options, "--resume_from_checkpoint", str(checkpoint)]
    assert output.count("Resume with:") == 1


def test_launcher_that_cannot_start_says_why(capsys):
    """What accelerate refuses is one message: here two ways of distributing at once."""
    assert launch.main(["--tpu", "--use_fsdp", "--num_processes", "2", "-m", "sternpost.cli", "sft"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("sternpost: error: the processes cannot be started: You can only use one of")
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ACCELERATE_USE_FSDP", "true", "FSDP was asked for, but accelerate does not shard on these devices"),
        ("WORLD_SIZE", "2", "2 processes were started, but they train as 1"),
    ],
)
def test_processes_that_would_not_train_as_asked_are_stopped(monkeypatch, variable, value, message):
    """No run of several processes falls back to something else in silence."""
    state = SimpleNamespace(distributed_type=SimpleNamespace(value="NO"))
    trainer = SimpleNamespace(args=SimpleNamespace(world_size=1), accelerator=state)
    launch.check_launched(trainer)
    monkeypatch.setenv(variable, value)
    with pytest.raises(RuntimeError, match=message):
        launch.check_launched(trainer)


def test_resume_command_replaces_an_older_checkpoint(monkeypatch):
    """However the option was written, the new checkpoint takes its place; spaces are quoted."""
    typed = "sternpost sft --resume-from-checkpoint old --model m --resume_from_checkpoint=older --packing"
    expected = "sternpost sft --model m --packing --resume_from_checkpoint 'a b/checkpoint-1'"
    assert resume_command(typed, "a b/checkpoint-1") == expected
    monkeypatch.setenv(COMMAND, "sternpost sft --num_processes 2")
    assert typed_command(["sft"]) == "sternpost sft --num_processes 2"


def test_typed_command_can_be_typed_again(monkeypatch, tmp_path):
    """The console script by its name if the shell finds it, by its path if not, else the module."""
    monkeypatch.delenv(COMMAND, raising=False)
    script = tmp_path / "sternpost"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", "/nowhere")
    assert typed_command(["sft"]) == f"{script} sft"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert typed_command(["sft"]) == "sternpost sft"
    monkeypatch.setattr(sys, "argv", [str(Path("lib/sternpost/cli/__main__.py"))])
    assert typed_command(["sft", "a b"]) == f"{sys.executable} -m sternpost.cli sft 'a b'"
