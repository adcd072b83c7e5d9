"""Runs reward functions side by side over a batch of completions.

Each has a thread of its own with an event loop that lives as long as it, so that an asynchronous reward may keep its
connections from batch to batch. What a function does wrong is said with its name: it raises, returns another number of
rewards, or something that is no number. One that takes longer than it may gives no reward for this batch (None), and is
warned of: if it waits asynchronously it is cancelled, else its thread is left behind, since none can be stopped.
"""

import asyncio
import inspect
import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any

logger = logging.getLogger(__name__)

Rewards = list[float | None]

LEFT_BEHIND = 8
"""Calls of a reward that may still run after their time was up; a reward with so many is not called again before one of
them ends."""


class NotGiven(Exception):  # noqa: N818 - it is no error of the run
    """Raised by a reward that cannot judge a batch: it counts as not given for all of it, and the log says why."""


class RewardFunction:
    """A reward function, what it is called in logs and errors, and the thread that it runs in.

    Raises:
        TypeError: it cannot be called with named arguments.
    """

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name, self.call = name, call
        self.parameters = named_parameters(name, call)
        self.worker: Worker | None = None
        self.left: list[Worker] = []

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "RewardFunction":
        """A function under its own name."""
        return cls(name_of(function), function)

    def missing(self, known: Sequence[str]) -> list[str]:
        """The arguments that it cannot do without and that are not known."""
        return [
            name
            for name, parameter in self.parameters.items()
            if parameter.kind in NAMED and parameter.default is parameter.empty and name not in known
        ]

    def check(self, known: Sequence[str]) -> None:
        """Raise unless all arguments that it needs are known."""
        if missing := self.missing(known):
            raise ValueError(
                f"the reward `{self.name}` asks for {quoted(missing)}, but rewards are given {quoted(known)}. Add a "
                "column of that name to the data set, or give the parameter a default."
            )

    def accepted(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Those arguments that it takes: all if it has `**kwargs`, else what it names."""
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in self.parameters.values()):
            return dict(arguments)
        return {name: value for name, value in arguments.items() if name in self.parameters}

    def start(self, arguments: Mapping[str, Any]) -> "Call":
        """Begin to judge a batch."""
        self.check(list(arguments))
        if self.worker is not None and self.worker.busy:
            self.worker.end()
            self.left.append(self.worker)
            self.worker = None
        self.left = [worker for worker in self.left if worker.thread.is_alive()]
        if len(self.left) >= LEFT_BEHIND:
            return Call(self.name, None)
        if self.worker is None:
            self.worker = Worker(self.name)
        return Call(self.name, self.worker.submit(self.call, self.accepted(arguments)))


class Worker:
    """A thread with an event loop, in which the calls of a reward run one after the other."""

    def __init__(self, name: str) -> None:
        self.busy = False
        self.loop = asyncio.new_event_loop()
        over = asyncio.Event()
        self.thread = threading.Thread(target=serve, args=(self.loop, over), name=f"reward {name}", daemon=True)
        self.thread.start()
        self.end = weakref.finalize(self, self.loop.call_soon_threadsafe, over.set)
        """Ends the thread as soon as it is idle; also when nobody knows of the worker any more."""

    def submit(self, call: Callable[..., Any], arguments: dict[str, Any]) -> "Future[tuple[Any, BaseException | None]]":
        self.busy = True
        return asyncio.run_coroutine_threadsafe(outcome(call, arguments, weakref.ref(self)), self.loop)


def serve(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(over.wait())


async def outcome(
    call: Callable[..., Any], arguments: dict[str, Any], worker: "weakref.ref[Worker]"
) -> tuple[Any, BaseException | None]:
    """What a call gives, or how it fails; even an exit is caught, which else would end the thread unheard."""
    try:
        found = call(**arguments)
        return (await found if inspect.isawaitable(found) else found), None
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return None, error
    finally:
        if (mine := worker()) is not None:
            mine.busy = False


class Call:
    """A reward at work on one batch; without a future it was not begun."""

    def __init__(self, name: str, future: "Future[tuple[Any, BaseException | None]] | None") -> None:
        self.name, self.future = name, future

    def rewards(self, count: int, deadline: float | None = None, timeout: float | None = None) -> Rewards:
        """What came out of it, at the latest at `deadline`, which is `timeout` seconds after its beginning.

        Raises:
            RuntimeError: the function raised.
            TypeError, ValueError: it returned something else than `count` numbers or None.
        """
        if self.future is None:
            return self.nothing(count, f"is not called: {LEFT_BEHIND} calls of it still run after their time was up")
        try:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            found, error = self.future.result(left)
        except TimeoutError:
            self.future.cancel()
            return self.nothing(count, f"took longer than {timeout:g} s")
        except CancelledError as cancelled:
            found, error = None, cancelled
        if isinstance(error, NotGiven):
            return self.nothing(count, str(error))
        if error is not None:
            raise RuntimeError(
                f"the reward `{self.name}` failed with {type(error).__name__}: {error}. Correct it, or let it return "
                "None for completions that it cannot judge."
            ) from error
        return checked(self.name, found, count)

    def nothing(self, count: int, reason: str) -> Rewards:
        logger.warning("the reward `%s` %s; it counts as not given for %d completions.", self.name, reason, count)
        return [None] * count


NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def named_parameters(name: str, call: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a reward; of one written in C that does not tell, any.

    Raises:
        TypeError: some have no name that they could be given by.
    """
    try:
        parameters = inspect.signature(call).parameters
    except ValueError:
        return {"kwargs": inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)}
    for parameter in parameters.values():
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
            raise TypeError(
                f"the reward `{name}` takes `{parameter.name}` by its place only. Rewards are called with named "
                "arguments: drop the `/` from its signature."
            )
    return parameters


def quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function, of the function in a partial one, or of a callable object's class."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


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
    return [checked_value(name, at, value) for at, value in enumerate(rewards)]


def checked_value(name: str, at: int, value: Any) -> float | None:
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()  # a number of numpy or a tensor with one
    if value is None:
        return None
    if not isinstance(value, bool | int | float):
        raise TypeError(f"the reward `{name}` is {value!r} for completion {at}. Return a number or None.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise ValueError(f"the reward `{name}` is {number} for completion {at}. Return a finite number or None.")
    return None if math.isnan(number) else number
