"""A run goes on whatever happens to one of its rewards."""

import logging
import threading

import torch
from datasets import Dataset

from sternpost.grpo.config import GRPOConfig
from sternpost.grpo.trainer import GRPOTrainer
from sternpost.rewards import isolated
from tests import tiny

from . import fragile
from .test_models import decoder

OPTIONS = dict(
    report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, learning_rate=1e-2, max_steps=3,
    per_device_train_batch_size=4, num_generations=4, max_completion_length=6, shuffle_dataset=False, optim="sgd",
    log_completions=True,
)  # fmt: skip


def short(completions, completion_ids, **kwargs):
    """Different for different completions."""
    return [sum(ids) % 7 - 0.1 * len(ids) for ids in completion_ids]


def trained(path, rewards, tokenizer=None, **options):
    """A run of three steps, and its weights."""
    prompts = [[{"role": "user", "content": word}] for word in tiny.WORDS[:8]]
    rows = Dataset.from_list([{"prompt": prompt, "seconds": 600.0} for prompt in prompts])
    args = GRPOConfig(str(path), **OPTIONS | options)
    trainer = GRPOTrainer(
        tiny.model(), rewards, args, rows, processing_class=tiny.tokenizer(), reward_processing_classes=tokenizer
    )
    trainer.train()
    assert trainer.state.global_step == 3
    return trainer, torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])


def test_processes_that_hang_or_die_change_nothing_else(tmp_path, caplog):
    """The run ends with the weights that the other reward gives it."""
    _, expected = trained(tmp_path / "alone", short)
    broken = [isolated(fragile.hangs_for, timeout=0.5), isolated(fragile.dies)]
    with caplog.at_level(logging.WARNING):
        trainer, weights = trained(tmp_path / "all", [short, *broken])
    assert torch.equal(weights, expected)
    assert caplog.text.count("the reward `hangs_for` took longer than 0.5 s, and its process was killed") == 3
    assert caplog.text.count("the reward `dies` ended its process") == 3
    line = next(line for line in trainer.state.log_history if "loss" in line)
    assert line["reward"] == line["rewards/short/mean"]
    assert "rewards/dies/mean" not in line


def test_a_function_that_hangs_changes_nothing_else(tmp_path, caplog):
    """In a thread of the trainer, with `reward_timeout`."""
    stop = threading.Event()

    def hangs(completions):
        stop.wait()

    _, expected = trained(tmp_path / "alone", short)
    with caplog.at_level(logging.WARNING):
        _, weights = trained(tmp_path / "all", [hangs, short], reward_timeout=1.0)
    stop.set()
    assert torch.equal(weights, expected)
    assert caplog.text.count("the reward `hangs` took longer than 1 s") == 3


def test_a_model_judges_a_run(tmp_path):
    """Its rewards are logged under its name, and are what is learned from."""
    trainer, weights = trained(tmp_path / "model", decoder(), tiny.tokenizer())
    assert not torch.equal(weights, torch.cat([weight.flatten() for weight in tiny.model().parameters()]))
    assert "rewards/Qwen3ForSequenceClassification/mean" in trainer.state.log_history[0]
