"""Runs reward functions side by side over a batch of completions.

Each gets a thread, asynchronous ones with an event loop. What a function does wrong is said with its name: it raises,
returns another number of rewards, or something that is no number. One that takes longer than `timeout` seconds gives no
reward for this batch (None), and is warned of; its thread is left behind, since none can be stopped.
"""

import asyncio
import inspect
import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)

Rewards = list[float | None]


@dataclass(frozen=True)
class RewardFunction:
    """A reward and what it is called in logs and errors."""

    name: str
    call: Callable[..., Any]

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "RewardFunction":
        """A function under its own name."""
        return cls(getattr(function, "__name__", type(function).__name__), function)


class Task:
    """One function at work on one batch, in a thread of its own."""

    def __init__(self, function: RewardFunction, arguments: dict[str, Any]) -> None:
        self.function, self.arguments = function, arguments
        self.result: Any = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self.work, name=f"reward {function.name}", daemon=True)
        self.thread.start()

    def work(self) -> None:
        try:
            found = self.function.call(**self.arguments)
            self.result = asyncio.run(awaited(found)) if inspect.isawaitable(found) else found
        except BaseException as error:
            self.error = error

    def rewards(self, timeout: float | None, count: int) -> Rewards:
        """What came out of it, at the latest after some seconds."""
        self.thread.join(timeout)
        if self.thread.is_alive():
            logger.warning(
                "the reward `%s` took longer than %g s; it counts as not given for %d completions.",
                self.function.name, timeout, count,
            )  # fmt: skip
            return [None] * count
        if self.error is not None:
            raise RuntimeError(
                f"the reward `{self.function.name}` failed with {type(self.error).__name__}: {self.error}. Correct it, "
                "or let it return None for completions that it cannot judge."
            ) from self.error
        return checked(self.function.name, self.result, count)


async def awaited(value: Any) -> Any:
    return await value


def run_rewards(
    functions: Sequence[RewardFunction], arguments: dict[str, Any], count: int, timeout: float | None = None
) -> list[Rewards]:
    """The rewards of each function for `count` completions, in order of the functions.

    Raises:
        RuntimeError: a function raised.
        TypeError, ValueError: it returned something else than `count` numbers or None.
    """
    tasks = [Task(function, arguments) for function in functions]
    return [task.rewards(timeout, count) for task in tasks]


def checked(name: str, rewards: Any, count: int) -> Rewards:
    """Rewards as floats or None; not-a-number counts as None, as it says as little."""
    if hasattr(rewards, "tolist"):
        rewards = rewards.tolist()
    if not isinstance(rewards, Sequence) or isinstance(rewards, str):
        raise TypeError(f"the reward `{name}` returned a {type(rewards).__name__}. Return a list, one per completion.")
    if len(rewards) != count:
        raise ValueError(
            f"the reward `{name}` returned {len(rewards)} values for {count} completions. Return one each."
        )
    found: Rewards = []
    for at, value in enumerate(rewards):
        if value is None:
            found.append(None)
        elif isinstance(value, bool | int | float):
            if math.isinf(value):
                raise ValueError(f"the reward `{name}` is {value} for completion {at}. Return a finite number or None.")
            found.append(None if math.isnan(value) else float(value))
        else:
            raise TypeError(f"the reward `{name}` is {value!r} for completion {at}. Return a number or None.")
    return found
