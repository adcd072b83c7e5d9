"""Rewards for completions: running the user's reward functions and models, and ready-made ones.

`judge.py` asks all rewards of a run, `run.py` functions, `models.py` models, `isolated.py` functions in a process of
their own; `named.py` finds rewards by name. No ready-made reward executes what a model wrote.
"""

from .isolated import isolated
from .length import get_cosine_scaled_reward, get_soft_overlong_punishment
from .math import accuracy_reward, reasoning_accuracy_reward
from .named import load_reward
from .run import NotGiven
from .text import get_repetition_penalty_reward, think_format_reward

__all__ = [
    "NotGiven",
    "accuracy_reward",
    "get_cosine_scaled_reward",
    "get_repetition_penalty_reward",
    "get_soft_overlong_punishment",
    "isolated",
    "load_reward",
    "reasoning_accuracy_reward",
    "think_format_reward",
]
