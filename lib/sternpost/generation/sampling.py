"""Logits of a step -> one token per row, and how likely it was."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .backend import Sampling

BLOCK = 256
"""Tokens whose probabilities are added up first, when one is looked for."""
LIKELIEST = 1024
"""How many tokens are put in order before all of them are."""


def penalised(
    logits: Float[Tensor, "n V"], seen: Bool[Tensor, "n V"] | None, sampling: Sampling
) -> Float[Tensor, "n V"]:
    """Logits with those of tokens that occurred made smaller (https://huggingface.co/papers/1909.05858, eq. 3)."""
    if seen is None:
        return logits
    smaller = torch.where(logits > 0, logits / sampling.repetition_penalty, logits * sampling.repetition_penalty)
    return torch.where(seen, smaller, logits)


def allowed(probs: Float[Tensor, "n V"], sampling: Sampling) -> Float[Tensor, "n V"]:
    """Probabilities with those of tokens that may not be drawn set to zero; they need not add up to one.

    In the order of transformers: `top_k`, then `top_p` of what is left, then `min_p`.
    """
    if 0 < sampling.top_k < probs.size(-1):
        probs = probs.where(probs >= probs.topk(sampling.top_k, -1).values[:, -1:], 0)
    if sampling.top_p < 1:
        probs = nucleus(probs, sampling.top_p)
    if sampling.min_p > 0:
        probs = probs.where(probs >= sampling.min_p * probs.amax(-1, keepdim=True), 0)
    return probs


def nucleus(probs: Float[Tensor, "n V"], top_p: float) -> Float[Tensor, "n V"]:
    """The likeliest tokens whose probabilities reach this share of all; the others are zero.

    It is seldom large, so that the likeliest tokens are tried before all are put in order.
    """
    enough = top_p * probs.sum(-1, keepdim=True)
    for count in (LIKELIEST, probs.size(-1)):
        ordered, order = probs.topk(min(count, probs.size(-1)), -1)
        reached = ordered.cumsum(-1)
        if count >= probs.size(-1) or bool((reached[:, -1:] >= enough).all()):
            break
    kept = ordered.where(reached - ordered < enough, 0)
    return torch.zeros_like(probs).scatter_(-1, order, kept)


def draw(
    logits: Float[Tensor, "n V"],
    sampling: Sampling,
    heights: Float[Tensor, "n"],
    seen: Bool[Tensor, "n V"] | None = None,
) -> tuple[Int[Tensor, "n"], Float[Tensor, "n"]]:
    """A token for each row, and its log-probability at this temperature.

    By inverting the cumulated probabilities at `heights`, random numbers from 0 to below 1: one for each row, where
    `torch.multinomial` draws one for each token.
    """
    logits = penalised(logits.float(), seen, sampling)
    if sampling.temperature not in (0, 1):
        logits = logits / sampling.temperature
    probs = logits.softmax(-1)
    tokens = probs.argmax(-1) if sampling.temperature == 0 else pick(allowed(probs, sampling), heights)
    return tokens, probs.gather(-1, tokens[:, None])[:, 0].log()


def pick(weights: Float[Tensor, "n V"], heights: Float[Tensor, "n"]) -> Int[Tensor, "n"]:
    """The token of each row at which its weights, added up from the first, pass this share of their sum.

    First a block of tokens, then a token of the block, so that only one block is added up token by token. Of weights
    that are not numbers, any token.
    """
    size = weights.size(-1)
    whole = size // BLOCK * BLOCK
    blocks = weights[:, :whole].unflatten(-1, (-1, BLOCK)).sum(-1)
    sums = torch.cat([blocks, weights[:, whole:].sum(-1, keepdim=True)], -1).double()
    ladder = sums.cumsum(-1)
    height = heights[:, None] * ladder[:, -1:]
    block = step_at(ladder, height)
    places = block * BLOCK + torch.arange(BLOCK, device=weights.device)
    inside = weights.gather(-1, places.clamp(max=size - 1)).where(places < size, 0).double().cumsum(-1)
    below = ladder.gather(-1, block) - sums.gather(-1, block)
    return (block * BLOCK + step_at(inside, height - below))[:, 0].clamp(max=size - 1)


def step_at(ladder: Float[Tensor, "n steps"], height: Float[Tensor, "n 1"]) -> Int[Tensor, "n 1"]:
    """The first step that is higher, or the last one that is a step at all: rounding must not reach beyond it."""
    last = torch.searchsorted(ladder, ladder[:, -1:].contiguous(), right=False)
    return torch.minimum(torch.searchsorted(ladder, height, right=True), last).clamp(max=ladder.size(-1) - 1)
