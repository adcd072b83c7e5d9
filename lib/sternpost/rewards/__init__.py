"""Rewards for completions: running the user's reward functions and models, and ready-made ones."""

from .length import get_cosine_scaled_reward, get_soft_overlong_punishment
from .math import accuracy_reward, reasoning_accuracy_reward
from .text import get_repetition_penalty_reward, think_format_reward

__all__ = [
    "accuracy_reward",
    "get_cosine_scaled_reward",
    "get_repetition_penalty_reward",
    "get_soft_overlong_punishment",
    "reasoning_accuracy_reward",
    "think_format_reward",
]
