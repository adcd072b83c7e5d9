"""What is particular to `sternpost reward`: a head on a language model, also with an adapter."""

import json

import pytest

from sternpost.cli import main

COMMON = ["--max_steps", "2", "--per_device_train_batch_size", "2", "--logging_steps", "1", "--use_cpu"]


@pytest.mark.parametrize("dataset", ["demo:preference", "demo:preference_implicit"])
def test_demo_trains(tmp_path, capsys, dataset):
    """From a language model's path to a saved reward model."""
    argv = ["--model", "demo", "--dataset", dataset, "--output_dir", str(tmp_path)]
    assert main(["reward", *argv, *COMMON, "--center_rewards_coefficient", "0.01"]) == 0
    assert "accuracy=" in capsys.readouterr().out
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["Qwen3ForSequenceClassification"]


def test_adapters_train_the_head(tmp_path):
    """`--use_peft` makes an adapter for sequence classification, whatever the default of `lora_task_type`."""
    argv = ["--model", "demo", "--dataset", "demo:preference", "--output_dir", str(tmp_path), "--use_peft"]
    assert main(["reward", *argv, *COMMON]) == 0
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_CLS"
    assert "score" in config["modules_to_save"]


def test_help_lists_its_options(capsys):
    """The page is read from the config."""
    assert main(["reward", "--help"]) == 0
    assert "--center_rewards_coefficient" in capsys.readouterr().out
