"""Logits of a step -> one token per row, and how likely it was."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .backend import Sampling


def penalised(
    logits: Float[Tensor, "n V"], seen: Int[Tensor, "n V"] | None, sampling: Sampling
) -> Float[Tensor, "n V"]:
    """Logits with those of tokens that occurred made smaller (https://huggingface.co/papers/1909.05858, eq. 3)."""
    if seen is None:
        return logits
    smaller = torch.where(logits > 0, logits / sampling.repetition_penalty, logits * sampling.repetition_penalty)
    return logits.where(seen == 0, smaller)


def allowed(probs: Float[Tensor, "n V"], sampling: Sampling) -> Float[Tensor, "n V"]:
    """Probabilities with those of tokens that may not be drawn set to zero; they need not add up to one."""
    if sampling.min_p > 0:
        probs = probs.where(probs >= sampling.min_p * probs.amax(-1, keepdim=True), 0)
    if 0 < sampling.top_k < probs.size(-1):
        probs = probs.where(probs >= probs.topk(sampling.top_k, -1).values[:, -1:], 0)
    if sampling.top_p < 1:
        ordered, order = probs.sort(-1, descending=True)
        total = ordered.sum(-1, keepdim=True)
        before = ordered.cumsum(-1) - ordered
        kept = ordered.where(before < sampling.top_p * total, 0)
        probs = torch.zeros_like(probs).scatter_(-1, order, kept)
    return probs


def draw(
    logits: Float[Tensor, "n V"], sampling: Sampling, generator: torch.Generator, seen: Int[Tensor, "n V"] | None = None
) -> tuple[Int[Tensor, "n"], Float[Tensor, "n"]]:
    """A token for each row, and its log-probability at this temperature.

    By inverting the cumulated probabilities: one random number a row, where `torch.multinomial` draws one a token.
    """
    logits = penalised(logits.float(), seen, sampling)
    if sampling.temperature == 0:
        logps = logits.log_softmax(-1)
        tokens = logps.argmax(-1)
    else:
        logps = (logits / sampling.temperature).log_softmax(-1)
        ladder = allowed(logps.exp(), sampling).cumsum(-1, dtype=torch.float64)
        height = torch.rand(len(ladder), 1, generator=generator, device=ladder.device, dtype=torch.float64)
        # Strictly below the top, and past every token that has no probability, whose step is flat.
        tokens = torch.searchsorted(ladder, height * ladder[:, -1:], right=True)[:, 0]
        tokens = torch.minimum(tokens, last_step(ladder))
    return tokens, logps.gather(-1, tokens[:, None])[:, 0]


def last_step(ladder: Float[Tensor, "n V"]) -> Int[Tensor, "n"]:
    """The last token that has a probability: rounding must not reach beyond it."""
    return torch.searchsorted(ladder, ladder[:, -1:].contiguous(), right=False)[:, 0]
