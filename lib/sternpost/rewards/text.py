"""Rewards for how a completion is written."""

import re
from collections.abc import Callable
from typing import Any

from .completions import Completion, text_of

THOUGHT = re.compile(r"<think>(?:(?!<think>|</think>).)*</think>(?:(?!<think>|</think>).)*", re.DOTALL)
"""One thought at the start, and none after it."""


def think_format_reward(completions: list[Completion], **kwargs: Any) -> list[float]:
    """1 for completions that begin with one thought between `<think>` and `</think>`, else 0."""
    return [1.0 if THOUGHT.fullmatch(text_of(completion)) else 0.0 for completion in completions]


def get_repetition_penalty_reward(ngram_size: int = 3, max_penalty: float = -1.0) -> Callable[..., list[float]]:
    """A reward from 0, no n-gram of words twice, towards `max_penalty`: `(1 - different / all) max_penalty`.

    Demystifying long chain-of-thought, appendix (https://huggingface.co/papers/2502.03373).

    Raises:
        ValueError: the penalty is positive, or n-grams have no words.
    """
    if max_penalty > 0:
        raise ValueError(f"`max_penalty={max_penalty}` must not be positive: it is the lowest reward.")
    if ngram_size < 1:
        raise ValueError(f"`ngram_size={ngram_size}` must be at least 1.")

    def repetition_penalty_reward(completions: list[Completion], **kwargs: Any) -> list[float]:
        return [penalty(text_of(completion).lower().split()) for completion in completions]

    def penalty(words: list[str]) -> float:
        ngrams = [tuple(words[at : at + ngram_size]) for at in range(len(words) - ngram_size + 1)]
        return (1 - len(set(ngrams)) / len(ngrams)) * max_penalty if ngrams else 0.0

    return repetition_penalty_reward
