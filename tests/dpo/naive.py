"""The metrics of a batch by their definitions: one answer at a time, from the model's own logits."""

import math
from typing import Any

import torch

from .runs import QUIET


@torch.no_grad()
def answer(model: Any, prompt: list[int], ids: list[int]) -> dict[str, Any]:
    """What a model says about one answer: sums over its tokens, and their number."""
    row = torch.tensor([[*prompt, *ids]])
    logits = type(model).forward(model, input_ids=row).logits[0, len(prompt) - 1 : -1].double()
    logps = logits.log_softmax(-1)
    target = torch.tensor(ids)
    return {
        "logp": logps.gather(1, target[:, None]).sum().item(),
        "each": logps.gather(1, target[:, None])[:, 0].tolist(),
        "entropy": -(logps.exp() * logps).sum().item(),
        "hits": (logits.argmax(-1) == target).sum().item(),
        "logit": logits.mean(-1).sum().item(),
        "collision": (2 * logps).logsumexp(-1).sum().item(),
        "tokens": len(ids),
    }


def metrics(model: Any, reference: Any, rows: list[dict[str, list[int]]], beta: float = QUIET["beta"]) -> dict:  # type: ignore[assignment]
    """The metrics of `contract.METRICS` for tokenised pairs and the loss `sigmoid`."""
    says = {
        side: [answer(model, row["prompt_ids"], row[f"{side}_ids"]) for row in rows] for side in ("chosen", "rejected")
    }
    knows = {
        side: [answer(reference, row["prompt_ids"], row[f"{side}_ids"]) for row in rows]
        for side in ("chosen", "rejected")
    }
    rewards = {
        side: [beta * (a["logp"] - b["logp"]) for a, b in zip(says[side], knows[side], strict=True)] for side in says
    }
    margins = [a - b for a, b in zip(rewards["chosen"], rewards["rejected"], strict=True)]
    both = says["chosen"] + says["rejected"]
    found = {
        "loss": mean([math.log1p(math.exp(-margin)) for margin in margins]),
        "entropy": per_token(both, "entropy"),
        "mean_token_accuracy": per_token(says["chosen"], "hits"),
        "rewards/margins": mean(margins),
        "rewards/accuracies": mean([float(margin > 0) for margin in margins]),
    }
    for side in says:
        found[f"rewards/{side}"] = mean(rewards[side])
        found[f"logps/{side}"] = mean([each["logp"] for each in says[side]])
        found[f"logits/{side}"] = per_token(says[side], "logit")
    return found


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def per_token(answers: list[dict[str, float]], name: str) -> float:
    return sum(each[name] for each in answers) / sum(each["tokens"] for each in answers)
