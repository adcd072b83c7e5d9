"""Rewards by name, as command lines and files of options give them."""

import difflib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .length import get_soft_overlong_punishment
from .math import accuracy_reward, reasoning_accuracy_reward
from .text import think_format_reward

READY_MADE: dict[str, Callable[[], Callable[..., Any]]] = {
    "accuracy_reward": lambda: accuracy_reward,
    "reasoning_accuracy_reward": lambda: reasoning_accuracy_reward,
    "think_format_reward": lambda: think_format_reward,
    "get_soft_overlong_punishment": lambda: get_soft_overlong_punishment(
        max_completion_len=1280, soft_punish_cache=256
    ),
}
"""Ready-made rewards that have a name, and how each is made."""


def load_reward(name: str) -> Callable[..., Any]:
    """A ready-made reward, or the function at a dotted path; modules are also looked for in the working directory.

    Raises:
        ValueError: there is no ready-made reward of this name.
        ImportError: the module cannot be imported, or has no such function.
        TypeError: what is there cannot be called.
    """
    if name in READY_MADE:
        return READY_MADE[name]()
    module, _, attribute = name.rpartition(".")
    if not module or not attribute:
        close = difflib.get_close_matches(name, READY_MADE, n=1)
        raise ValueError(
            f"`reward_funcs` names {name!r}, which is no ready-made reward ({', '.join(READY_MADE)})"
            + (f". Did you mean {close[0]!r}?" if close else ". Give the dotted path of a function: `module.function`.")
        )
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        raise ImportError(
            f"`reward_funcs` names {name!r}, but importing `{module}` failed with {type(error).__name__}: {error}. "
            f"Modules are looked for among installed packages and in the working directory {str(Path.cwd())!r}."
        ) from error
    if not hasattr(found, attribute):
        close = difflib.get_close_matches(attribute, vars(found), n=1)
        raise ImportError(
            f"`reward_funcs` names {name!r}, but `{module}` ({getattr(found, '__file__', None)}) has no `{attribute}`"
            + (f". Did you mean `{close[0]}`?" if close else ".")
        )
    function = getattr(found, attribute)
    if not callable(function):
        raise TypeError(f"`reward_funcs` names {name!r}, which is {function!r} and cannot be called. Name a function.")
    return function
