"""Rewards for how a completion is written."""

from collections.abc import Callable, Sequence
from typing import Any

from .completions import Completion, text_of


def think_format_reward(completions: list[Completion], **kwargs: Any) -> list[float]:
    """1 for completions that begin with a thought, `<think>` to `</think>`, and open no other; else 0."""
    texts = [text_of(completion) for completion in completions]
    return [float(text.startswith("<think>") and text.count("<think>") == 1 and "</think>" in text) for text in texts]


def get_repetition_penalty_reward(ngram_size: int = 3, max_penalty: float = -1.0) -> Callable[..., list[float]]:
    """A reward from 0, no n-gram of tokens twice, towards `max_penalty`: `(1 - different / all) max_penalty`.

    Demystifying long chain-of-thought, appendix (https://huggingface.co/papers/2502.03373).

    Raises:
        ValueError: the penalty is positive, or n-grams have no tokens.
    """
    if max_penalty > 0:
        raise ValueError(f"`max_penalty={max_penalty}` must not be positive: it is the lowest reward.")
    if ngram_size < 1:
        raise ValueError(f"`ngram_size={ngram_size}` must be at least 1.")

    def repetition_penalty_reward(completion_ids: Sequence[Sequence[int]], **kwargs: Any) -> list[float]:
        return [penalty(ids) for ids in completion_ids]

    def penalty(ids: Sequence[int]) -> float:
        ngrams = [tuple(ids[at : at + ngram_size]) for at in range(len(ids) - ngram_size + 1)]
        return (1 - len(set(ngrams)) / len(ngrams)) * max_penalty if ngrams else 0.0

    return repetition_penalty_reward
