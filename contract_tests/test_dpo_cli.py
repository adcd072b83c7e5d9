"""`sternpost dpo` as scripts and YAML files use it."""

import inspect
import json
import typing

import pytest
import yaml

import sternpost

OK, USAGE = 0, 2


@pytest.fixture
def own_options():
    """The options that `DPOConfig` adds or overrides, with their values when left out."""
    resolved = sternpost.DPOConfig(output_dir="unused", use_cpu=True)
    return {name: getattr(resolved, name) for name in inspect.get_annotations(sternpost.DPOConfig)}


@pytest.fixture
def rows(tmp_path, pairs):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in pairs))
    return path.name


def test_help_lists_every_option(run_command, assert_light, own_options):
    """D32. `sternpost dpo --help` lists every option and what it accepts, also in lists, and loads neither torch nor
    transformers."""
    done = run_command("dpo", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == OK, done.stderr
    assert_light(done.stderr)
    flags = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  --")}
    assert {f"--{name}" for name in own_options} <= set(flags)
    for name, hint in typing.get_type_hints(sternpost.DPOConfig).items():
        choices = typing.get_args(hint)[0] if typing.get_origin(hint) is list else hint
        if name in own_options and typing.get_origin(choices) is typing.Literal:
            assert f"{{{','.join(typing.get_args(choices))}}}" in flags[f"--{name}"]


@pytest.mark.parametrize("losses", ["hinge", ["sigmoid", "sft"]])
def test_yaml_keys_are_the_options(run_command, tmp_path, rows, model_path, own_options, losses):
    """D33. A YAML file may hold every option by name, `loss_type` as a name or a list; the command line wins over it;
    the model lies in `output_dir`."""
    options = own_options | {
        "max_length": 64, "logging_steps": 1, "save_strategy": "no", "max_steps": 7, "use_cpu": True,
        "loss_type": losses, "model_name_or_path": model_path, "dataset_name": rows, "output_dir": "out",
        "report_to": "none",
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(options))
    done = run_command("dpo", "--config", "run.yaml", "--max_steps", "1", "--beta", "0.3")
    assert done.returncode == OK, done.stderr
    assert (tmp_path / "out" / "model.safetensors").is_file()
    import torch

    saved = torch.load(tmp_path / "out" / "training_args.bin", weights_only=False)
    assert (saved.max_steps, saved.max_length, saved.beta) == (1, 64, 0.3)
    assert saved.loss_type == ([losses] if isinstance(losses, str) else losses)


def test_several_losses_by_flag(run_command, tmp_path, rows, model_path):
    """D33. `--loss_type` takes several names, `--loss_weights` as many numbers."""
    losses = ["--loss_type", "sigmoid", "sft", "--loss_weights", "1", "0.5"]
    small = ["--max_steps", "1", "--use_cpu", "--save_strategy", "no", "--output_dir", "out", "--report_to", "none"]
    done = run_command("dpo", "--model", model_path, "--dataset", rows, *losses, *small)
    assert done.returncode == OK, done.stderr
    import torch

    saved = torch.load(tmp_path / "out" / "training_args.bin", weights_only=False)
    assert (saved.loss_type, saved.loss_weights) == (["sigmoid", "sft"], [1.0, 0.5])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--loss_type", "sigmoid", "sfft"], ["loss_type", "sfft", "sft"]),
        (["--f_divergence_type", "kl"], ["f_divergence_type", "reverse_kl"]),
        (["--bata", "0.1"], ["bata", "beta"]),
        (["--sync_ref_model", "--precompute_ref_log_probs"], ["sync_ref_model", "precompute_ref_log_probs"]),
    ],
)
def test_wrong_options(run_command, rows, model_path, words, named):
    """D34. An unknown key, a value that is not accepted and options that exclude each other end with exit code 2 and
    their names."""
    done = run_command("dpo", "--model", model_path, "--dataset", rows, "--use_cpu", *words)
    assert done.returncode == USAGE
    assert [word for word in named if word not in done.stderr] == []
