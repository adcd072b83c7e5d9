"""`sternpost grpo` as scripts and YAML files use it."""

import inspect
import json
import typing

import pytest
import yaml

import sternpost

OK, USAGE = 0, 2
JUDGES = "def brief(completion_ids, **kwargs):\n    return [-float(len(ids)) for ids in completion_ids]\n"


@pytest.fixture
def own_options():
    """The options that `GRPOConfig` adds or overrides, with their values when left out."""
    resolved = sternpost.GRPOConfig(output_dir="unused", use_cpu=True)
    return {name: getattr(resolved, name) for name in inspect.get_annotations(sternpost.GRPOConfig)}


@pytest.fixture
def rows(tmp_path, prompts):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in prompts))
    (tmp_path / "judges.py").write_text(JUDGES)
    return path.name


def test_help_lists_every_option(run_command, assert_light, own_options):
    """G34. `sternpost grpo --help` lists every option and what it accepts, `reward_funcs` and
    `reward_model_name_or_path` too, and loads neither torch nor transformers."""
    done = run_command("grpo", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == OK, done.stderr
    assert_light(done.stderr)
    flags = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  --")}
    assert {f"--{name}" for name in own_options} | {"--reward_funcs", "--reward_model_name_or_path"} <= set(flags)
    for name, hint in typing.get_type_hints(sternpost.GRPOConfig).items():
        if name in own_options and typing.get_origin(hint) is typing.Literal:
            assert f"{{{','.join(typing.get_args(hint))}}}" in flags[f"--{name}"]


def test_yaml_keys_are_the_options(run_command, tmp_path, rows, model_path, own_options):
    """G35. A YAML file may hold every option by name; rewards are names of ready-made ones or paths of functions, also
    in the working directory; the command line wins; the model lies in `output_dir`."""
    options = own_options | {
        "max_completion_length": 6, "logging_steps": 1, "save_strategy": "no", "max_steps": 7, "use_cpu": True,
        "model_name_or_path": model_path, "dataset_name": rows, "output_dir": "out", "report_to": "none",
        "reward_funcs": ["think_format_reward", "judges.brief"], "reward_weights": [1, 0.5],
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(options))
    done = run_command("grpo", "--config", "run.yaml", "--max_steps", "1", "--loss_type", "grpo")
    assert done.returncode == OK, done.stderr
    assert "rewards/think_format_reward/mean=0 " in done.stdout
    assert "rewards/brief/mean=-" in done.stdout
    assert (tmp_path / "out" / "model.safetensors").is_file()
    import torch

    saved = torch.load(tmp_path / "out" / "training_args.bin", weights_only=False)
    assert (saved.max_steps, saved.loss_type, saved.reward_weights) == (1, "grpo", [1.0, 0.5])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--reward_funcs", "acuracy_reward"], ["reward_funcs", "acuracy_reward", "accuracy_reward"]),
        ([], ["--reward_funcs", "--reward_model_name_or_path"]),
        (["--reward_funcs", "judges.brief", "--loss_type", "dappo"], ["loss_type", "dappo", "dapo"]),
        (["--reward_funcs", "judges.brief", "--num_generations", "3"], ["num_generations", "per_device_train"]),
    ],
)
def test_wrong_options(run_command, rows, model_path, words, named):
    """G36. No reward or an unknown one, a value that is not accepted and options that do not fit end with exit code 2
    and their names."""
    done = run_command("grpo", "--model", model_path, "--dataset", rows, "--use_cpu", *words)
    assert done.returncode == USAGE
    assert [word for word in named if word not in done.stderr] == []
