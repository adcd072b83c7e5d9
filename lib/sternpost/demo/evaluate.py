"""Held-out questions -> greedy answers -> how many are right, in all and by task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from . import load

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def is_right(completion: str, answer: str) -> bool:
    """Whether the last line of the completion is the answer."""
    lines = completion.strip().splitlines()
    return bool(lines) and lines[-1].strip() == answer


@dataclass(frozen=True)
class Sample:
    """One held-out question, what the model answered, and whether that is right."""

    task: str
    prompt: str
    completion: str
    answer: str
    right: bool


@dataclass(frozen=True)
class Evaluation:
    """All samples of one evaluation, in the order of the data set."""

    samples: tuple[Sample, ...]

    @property
    def accuracy(self) -> float:
        """Exact match over all samples, as a fraction."""
        return sum(sample.right for sample in self.samples) / len(self.samples)

    @property
    def by_task(self) -> dict[str, float]:
        """Exact match per task, as fractions."""
        tasks = dict.fromkeys(sample.task for sample in self.samples)
        return {task: Evaluation(tuple(s for s in self.samples if s.task == task)).accuracy for task in tasks}


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[dict[str, str]]],
    *,
    batch_size: int = 80,
    max_new_tokens: int = 48,
) -> list[str]:
    """Greedy completions of conversations, in their order; prompts of like length share a batch."""
    ids = [tokenizer.apply_chat_template(p, add_generation_prompt=True, return_dict=False) for p in prompts]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    completions = [""] * len(ids)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, padding_side="left", return_tensors="pt").to(
            model.device
        )
        out = model.generate(
            **batch,
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        new = out[:, batch["input_ids"].shape[1] :]
        for row, text in zip(rows, tokenizer.batch_decode(new, skip_special_tokens=True), strict=True):
            completions[row] = text
    return completions


def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Evaluation:
    """Answers the demo's held-out questions greedily and checks the answers; leaves the model's mode as it was."""
    rows = load("held_out").to_list()
    training = model.training
    completions = generate(model.eval(), tokenizer, [row["prompt"] for row in rows])
    model.train(training)
    return Evaluation(
        tuple(
            Sample(row["task"], row["prompt"][-1]["content"], text, row["answer"], is_right(text, row["answer"]))
            for row, text in zip(rows, completions, strict=True)
        )
    )
