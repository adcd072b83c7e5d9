"""Pairs, policies whose mistakes show, and short runs, for the tests of this room."""

import random
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn

from sternpost import DPOConfig, DPOTrainer

from .. import tiny

QUIET = dict(
    report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, max_steps=3, optim="sgd",
    lr_scheduler_type="constant", learning_rate=0.05, beta=0.5, per_device_train_batch_size=4,
    train_sampling_strategy="sequential", dataloader_pin_memory=False,
)  # fmt: skip
LOSS_OPTIONS: dict[str, dict[str, Any]] = {"exo_pair": {"label_smoothing": 0.1}, "robust": {"label_smoothing": 0.1}}
"""What a loss cannot do without."""


def policy(seed: int = 0, **config: Any) -> Any:
    """A tiny model with weights so large that what one token sees of another matters; the same for the same seed."""
    return enlarge(tiny.model(seed, **config))


def enlarge(model: Any) -> Any:
    for weight in model.parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=0.2)
    return model


def pairs(count: int = 12, seed: int = 0, longest: int = 12) -> list[dict[str, str]]:
    """Rows of text: prompts and answers of different lengths, no two answers of a pair equal."""
    drawn = random.Random(seed)
    rows = []
    while len(rows) < count:
        prompt, *answers = (tiny.text(drawn, longest) for _ in range(3))
        if answers[0] != answers[1]:
            rows.append({"prompt": prompt, "chosen": " " + answers[0], "rejected": " " + answers[1]})
    return rows


def as_chats(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """The same rows as conversations."""
    return [
        {
            column: [{"role": "user" if column == "prompt" else "assistant", "content": text.strip()}]
            for column, text in row.items()
        }
        for row in rows
    ]


def make(path: Path, rows: Any = None, model: Any = None, processing_class: Any = None, **given: Any) -> DPOTrainer:
    """A trainer. Options and arguments of the trainer may stand together."""
    arguments = {name: given.pop(name) for name in list(given) if name not in DPOConfig.__dataclass_fields__}
    rows = pairs() if rows is None else rows
    if isinstance(rows, list):
        rows = Dataset.from_list(rows)
    return DPOTrainer(
        policy() if model is None else model,
        args=DPOConfig(str(path), **QUIET | given),
        train_dataset=rows,
        processing_class=processing_class or tiny.tokenizer(),
        **arguments,
    )


def train(path: Path, rows: Any = None, resume: Any = None, **given: Any) -> DPOTrainer:
    trainer = make(path, rows, **given)
    trainer.train(resume)
    return trainer


def lines(trainer: DPOTrainer) -> list[dict[str, float]]:
    """What was logged of training."""
    return [line for line in trainer.state.log_history if "loss" in line]


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def assert_same_losses(ours: DPOTrainer, theirs: DPOTrainer, tolerance: float = 1e-5) -> None:
    """Same loss and gradient norm at every step."""
    left, right = tiny.losses(ours), tiny.losses(theirs)
    assert len(left) == len(right) > 0
    torch.testing.assert_close(torch.tensor(left), torch.tensor(right), rtol=tolerance, atol=tolerance)


def assert_same_run(ours: DPOTrainer, theirs: DPOTrainer, tolerance: float = 1e-5) -> None:
    """Same loss and gradient norm at every step, and the same weights in the end."""
    assert_same_losses(ours, theirs, tolerance)
    expected = weights(theirs.model)
    for name, weight in weights(ours.model).items():
        torch.testing.assert_close(weight, expected[name], rtol=tolerance, atol=tolerance, msg=name)
