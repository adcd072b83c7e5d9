import csv
import json
from pathlib import Path

import pytest
import torch
from conftest import RUNS
from longshore import main
from longshore.callbacks import COLUMNS
from transformers import AutoModelForCausalLM


def lines(trainer, key="loss"):
    return [line for line in trainer.state.log_history if key in line]


def test_loss_falls(finished, record_property):
    losses = [line["loss"] for line in lines(finished)]
    record_property("first loss", losses[0])
    record_property("last loss", losses[-1])
    assert losses[-1] < losses[0]


def test_evaluation(finished, record_property):
    first, last = lines(finished, "eval_loss")
    record_property("evaluation loss", last["eval_loss"])
    assert last["eval_loss"] < first["eval_loss"]
    assert last["eval_perplexity"] == pytest.approx(2.718281828459045 ** last["eval_loss"])
    assert finished.last_accuracy == last["eval_mean_token_accuracy"]


def test_numbers_of_the_dashboard(finished, record_property):
    """The table has a value in every column, whose names the dashboard knows."""
    table = list(csv.DictReader(Path(finished.args.output_dir, "run.csv").read_text().splitlines()))
    assert len(table) == finished.state.max_steps
    assert all(float(row[column]) == float(row[column]) for row in table for column in COLUMNS)
    record_property("tokens", int(table[-1]["num_tokens"]))
    record_property("entropy", float(table[-1]["entropy"]))


def test_what_was_learned_is_counted(finished, record_property):
    record_property("learned tokens", finished.learned_tokens["train"])
    assert lines(finished)[-1]["learned_tokens"] == finished.learned_tokens["train"] > 0
    assert finished.learned_tokens["eval"] > 0
    assert finished.row_counts == {"train": 24, "eval": 8}


def test_our_file_is_in_every_checkpoint(finished):
    for step in (2, 4):
        folder = Path(finished.args.output_dir, f"checkpoint-{step}")
        assert json.loads((folder / "longshore.json").read_text())["tags"] == ["house"]
        assert (folder / "model.safetensors").is_file()
        assert (folder / "tokenizer_config.json").is_file()
        assert json.loads((folder / "trainer_state.json").read_text())["global_step"] == step


def test_checkpoint_is_a_model(finished):
    loaded = AutoModelForCausalLM.from_pretrained(Path(finished.args.output_dir, "checkpoint-4"))
    assert torch.equal(loaded.get_input_embeddings().weight, finished.model.get_input_embeddings().weight)


def test_resuming(build, tmp_path):
    build("sft.yaml", max_steps=2).train()
    trainer = build("sft.yaml")
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))
    assert [line["step"] for line in lines(trainer)] == [1, 2, 3, 4]
    assert lines(trainer)[2]["num_tokens"] > lines(trainer)[1]["num_tokens"]


def test_command(tmp_path, record_property):
    trainer = main.main([str(RUNS / "packed.yaml"), f"output_dir={tmp_path}"])
    record_property("loss with an adapter", lines(trainer)[0]["loss"])
    assert (tmp_path / "adapter_model.safetensors").is_file()
    assert (tmp_path / "run.csv").is_file()


def test_watchdog_stops(build):
    trainer = build("sft.yaml", watch_loss_above=0.01)
    trainer.train()
    assert trainer.state.global_step == 1
