"""Held-out questions -> greedy answers -> how many are right; held-out pairs -> how many are ranked rightly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from . import load

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


SIDES = ("chosen", "rejected")


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


@torch.no_grad()
def answer_logps(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[list[dict[str, str]], list[dict[str, str]]]],
    *,
    batch_size: int = 80,
) -> list[float]:
    """Log-probability of each answer after its prompt."""
    logps: list[float] = []
    for start in range(0, len(pairs), batch_size):
        rows = [tokenizer.apply_chat_template(p + a, return_dict=False) for p, a in pairs[start : start + batch_size]]
        prompts = [
            tokenizer.apply_chat_template(p, add_generation_prompt=True, return_dict=False)
            for p, _ in pairs[start : start + batch_size]
        ]
        batch = tokenizer.pad({"input_ids": rows}, padding_side="right", return_tensors="pt").to(model.device)
        ids = batch["input_ids"]
        scores = model(**batch).logits[:, :-1].float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        for at, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
            logps.append(scores[at, len(prompt) - 1 : len(row) - 1].sum().item())
    return logps


def ranked(chosen: Sequence[float], rejected: Sequence[float]) -> float:
    """Share of the pairs whose chosen answer has the higher value."""
    return sum(a > b for a, b in zip(chosen, rejected, strict=True)) / len(chosen)


def preference_accuracy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> float:
    """Share of the demo's held-out pairs whose chosen answer is likelier than the rejected one."""
    rows = load("held_out_preference").to_list()
    training = model.training
    model.eval()
    logps = [answer_logps(model, tokenizer, [(row["prompt"], row[side]) for row in rows]) for side in SIDES]
    model.train(training)
    return ranked(*logps)


@torch.no_grad()
def reward_accuracy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> float:
    """Share of the demo's held-out pairs whose chosen answer gets the higher reward."""
    rows = load("held_out_preference").to_list()
    training = model.training
    model.eval()
    rewards = []
    for side in SIDES:
        ids = [tokenizer.apply_chat_template(row["prompt"] + row[side], return_dict=False) for row in rows]
        batch = tokenizer.pad({"input_ids": ids}, padding_side="right", return_tensors="pt").to(model.device)
        rewards.append(model(**batch).logits[:, 0].tolist())
    model.train(training)
    return ranked(*rewards)
