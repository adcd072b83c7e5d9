"""Pairs, reward models whose mistakes show, and short runs, for the tests of this room."""

import random
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import Qwen3Config, Qwen3ForSequenceClassification

from sternpost import RewardConfig, RewardTrainer

from .. import tiny

QUIET = dict(
    report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, max_steps=3, optim="sgd",
    lr_scheduler_type="constant", learning_rate=0.02, per_device_train_batch_size=4,
    train_sampling_strategy="sequential", dataloader_pin_memory=False,
)  # fmt: skip


def reward_model(seed: int = 0, **config: Any) -> Any:
    """A tiny model with weights so large that what one token sees of another matters; the same for the same seed."""
    sizes = tiny.model().config.to_dict() | {"num_labels": 1} | config
    del sizes["id2label"], sizes["label2id"]
    torch.manual_seed(seed)
    model = Qwen3ForSequenceClassification(Qwen3Config(**sizes))
    for weight in model.parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=0.2)
    return model


def pairs(count: int = 12, seed: int = 0, longest: int = 12) -> list[dict[str, Any]]:
    """Rows of text: prompts and answers of different lengths, no two answers of a pair equal."""
    drawn = random.Random(seed)
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        prompt, *answers = (tiny.text(drawn, longest) for _ in range(3))
        if answers[0] != answers[1]:
            rows.append({"prompt": prompt, "chosen": " " + answers[0], "rejected": " " + answers[1]})
    return rows


def with_margins(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"margin": 0.3 * at - 1} for at, row in enumerate(rows)]


def as_chats(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows as conversations."""
    return [
        {
            column: [{"role": "user" if column == "prompt" else "assistant", "content": text.strip()}]
            for column, text in row.items()
        }
        for row in rows
    ]


def make(path: Path, rows: Any = None, model: Any = None, processing_class: Any = None, **given: Any) -> RewardTrainer:
    """A trainer. Options and arguments of the trainer may stand together."""
    arguments = {name: given.pop(name) for name in list(given) if name not in RewardConfig.__dataclass_fields__}
    rows = pairs() if rows is None else rows
    if isinstance(rows, list):
        rows = Dataset.from_list(rows)
    return RewardTrainer(
        reward_model() if model is None else model,
        args=RewardConfig(str(path), **QUIET | given),
        train_dataset=rows,
        processing_class=processing_class or tiny.tokenizer(),
        **arguments,
    )


def train(path: Path, rows: Any = None, resume: Any = None, **given: Any) -> RewardTrainer:
    trainer = make(path, rows, **given)
    trainer.train(resume)
    return trainer


def lines(trainer: RewardTrainer) -> list[dict[str, float]]:
    """What was logged of training."""
    return [line for line in trainer.state.log_history if "loss" in line]


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def assert_same_run(ours: RewardTrainer, theirs: RewardTrainer, tolerance: float = 1e-5) -> None:
    """Same losses, gradient norms and metrics at every step, and the same weights in the end."""
    left, right = lines(ours), lines(theirs)
    assert len(left) == len(right) > 0
    for ours_now, theirs_now in zip(left, right, strict=True):
        for name in ("loss", "grad_norm", "min_reward", "mean_reward", "max_reward", "accuracy", "margin"):
            torch.testing.assert_close(ours_now[name], theirs_now[name], rtol=tolerance, atol=tolerance, msg=name)
    expected = weights(theirs.model)
    for name, weight in weights(ours.model).items():
        torch.testing.assert_close(weight, expected[name], rtol=tolerance, atol=tolerance, msg=name)
