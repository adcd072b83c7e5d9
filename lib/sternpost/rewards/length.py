"""Rewards that depend on how long a completion is."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from .completions import Completion


def get_soft_overlong_punishment(max_completion_len: int, soft_punish_cache: int) -> Callable[..., list[float]]:
    """0 up to `max_completion_len - soft_punish_cache` tokens, then falling to -1 at `max_completion_len`, -1 beyond.

    DAPO, eq. 13 (https://huggingface.co/papers/2503.14476).

    Raises:
        ValueError: the zone in which the reward falls is longer than a completion, or empty.
    """
    if not 0 < soft_punish_cache <= max_completion_len:
        raise ValueError(
            f"`soft_punish_cache={soft_punish_cache}` must be from 1 to `max_completion_len={max_completion_len}`."
        )
    free = max_completion_len - soft_punish_cache

    def soft_overlong_punishment_reward(completion_ids: Sequence[Sequence[int]], **kwargs: Any) -> list[float]:
        return [-min(max((len(ids) - free) / soft_punish_cache, 0.0), 1.0) for ids in completion_ids]

    return soft_overlong_punishment_reward


def get_cosine_scaled_reward(
    max_len: int,
    min_value_wrong: float = -1.0,
    max_value_wrong: float = -0.5,
    min_value_correct: float = 0.5,
    max_value_correct: float = 1.0,
) -> Callable[..., list[float | None]]:
    """Right answers are worth more the shorter they are, wrong ones the longer they are; in between along a cosine.

    Demystifying long chain-of-thought, eq. 1 (https://huggingface.co/papers/2502.03373). Whether an answer is right is
    what `accuracy_reward` says of it and its `solution`.

    Raises:
        ValueError: `max_len` is not positive.
    """
    if max_len < 1:
        raise ValueError(f"`max_len={max_len}` must be at least 1.")

    def cosine_scaled_reward(
        completions: list[Completion], completion_ids: Sequence[Sequence[int]], solution: list[str], **kwargs: Any
    ) -> list[float | None]:
        from .math import accuracy_reward

        rights = accuracy_reward(completions, solution)
        return [
            None if right is None else scaled(right, len(ids))
            for right, ids in zip(rights, completion_ids, strict=True)
        ]

    def scaled(right: float, length: int) -> float:
        fall = (1 + math.cos(math.pi * min(length / max_len, 1.0))) / 2  # 1 for no token, 0 for `max_len`
        low, high = (min_value_correct, max_value_correct) if right else (max_value_wrong, min_value_wrong)
        return low + (high - low) * fall

    return cosine_scaled_reward
