"""`sternpost sft` as scripts and YAML files use it."""

import inspect
import json
import typing

import pytest
import yaml

import sternpost

OK, FAILED, USAGE = 0, 1, 2


@pytest.fixture
def own_options():
    """The options that `SFTConfig` adds or overrides, with their values when left out."""
    resolved = sternpost.SFTConfig(output_dir="unused", use_cpu=True)
    return {name: getattr(resolved, name) for name in inspect.get_annotations(sternpost.SFTConfig)}


@pytest.fixture
def rows(tmp_path, conversations):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in conversations))
    return path.name


def test_version(run_command, assert_light):
    """C1. `sternpost --version` prints `sternpost.__version__` and loads neither torch nor transformers."""
    done = run_command("--version", PYTHONPROFILEIMPORTTIME="1")
    assert (done.returncode, done.stdout.strip()) == (OK, sternpost.__version__), done.stderr
    assert_light(done.stderr)


def test_help_lists_every_option(run_command, assert_light, own_options):
    """C2. `sternpost sft --help` lists every option and what it accepts, and loads neither torch nor transformers."""
    done = run_command("sft", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == OK, done.stderr
    assert_light(done.stderr)
    flags = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  --")}
    assert {f"--{name}" for name in own_options} <= set(flags)
    hints = typing.get_type_hints(sternpost.SFTConfig)
    for name in own_options:
        if typing.get_origin(hints[name]) is typing.Literal:
            assert f"{{{','.join(typing.get_args(hints[name]))}}}" in flags[f"--{name}"]


def test_yaml_keys_are_the_options(run_command, tmp_path, rows, model_path, own_options):
    """C3. A YAML file may hold every option by name; the command line wins over it; the model lies in `output_dir`."""
    options = own_options | {
        "max_length": 64,
        "logging_steps": 1,
        "save_strategy": "no",
        "max_steps": 7,
        "use_cpu": True,
    }
    options |= {"model_name_or_path": model_path, "dataset_name": rows, "output_dir": "out", "report_to": "none"}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(options))
    done = run_command("sft", "--config", "run.yaml", "--max_steps", "1")
    assert done.returncode == OK, done.stderr
    assert (tmp_path / "out" / "model.safetensors").is_file()
    import torch

    saved = torch.load(tmp_path / "out" / "training_args.bin", weights_only=False)
    assert (saved.max_steps, saved.max_length) == (1, 64)


@pytest.mark.parametrize("place", ["yaml", "flag"])
def test_unknown_keys(run_command, tmp_path, rows, model_path, place):
    """C4. An unknown key or flag ends with exit code 2 and the name of the nearest option."""
    (tmp_path / "run.yaml").write_text("max_lenght: 64\n" if place == "yaml" else "max_length: 64\n")
    wrong = ["--max_lenght", "64"] if place == "flag" else []
    done = run_command("sft", "--config", "run.yaml", "--model", model_path, "--dataset", rows, *wrong)
    assert done.returncode == USAGE
    assert "max_lenght" in done.stderr
    assert "max_length" in done.stderr


def test_wrong_values(run_command, rows, model_path):
    """C4. A value that an option does not accept ends with exit code 2, naming the option and what it accepts."""
    done = run_command("sft", "--model", model_path, "--dataset", rows, "--loss_type", "nlll")
    assert done.returncode == USAGE
    assert "loss_type" in done.stderr
    assert "nll, dft" in done.stderr.replace("'", "")
