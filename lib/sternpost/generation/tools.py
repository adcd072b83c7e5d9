"""Functions that a model may call: what it is told of them, and the calls themselves.

functions -> schemas that the chat template shows      schema_of
calls of many conversations -> their outcomes          Calls.run
outcome -> text that goes back to the model            Outcome.text
"""

import asyncio
import inspect
import json
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from transformers.utils import get_json_schema
from transformers.utils.chat_template_utils import DocstringParsingException, TypeHintParsingException

Schema = dict[str, Any]
Action = Callable[[], Any]
"""A function with its arguments."""


def schema_of(function: Callable[..., Any], owner: str = "`tools`") -> Schema:
    """What a chat template shows of a function: its own `json_schema`, or what docstring and type hints say.

    Raises:
        ValueError: one of them is missing, or not what a schema can say.
    """
    name = getattr(function, "__name__", None)
    if name is None or not callable(function):
        raise ValueError(f"{owner} holds {function!r}, which is no function with a name. Wrap it in a `def`.")
    own = getattr(function, "json_schema", None)
    if own is not None:
        return own
    try:
        return get_json_schema(function)
    except (DocstringParsingException, TypeHintParsingException, TypeError) as error:
        raise ValueError(
            f"{owner} holds `{name}`, which a model cannot be told of: {error}. Give it a docstring with a sentence "
            "and a line for each argument below `Args:`, and type hints; or a schema of its own, as the attribute "
            "`json_schema`."
        ) from error


def by_name(functions: Sequence[Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Functions by their names.

    Raises:
        ValueError: two have the same name.
    """
    found: dict[str, Callable[..., Any]] = {}
    for function in functions:
        name = schema_of(function)["function"]["name"]
        if name in found:
            raise ValueError(
                f"`tools` holds two functions called `{name}`. A model could not tell them apart: rename one."
            )
        found[name] = function
    return found


@dataclass(frozen=True)
class ToolCall:
    """A call that a model wrote."""

    name: str
    arguments: dict[str, Any]
    number: str
    """Some templates ask for a name of each call, of nine letters and digits."""
    problem: str | None = None
    """Why what it wrote is no call."""

    def message(self) -> dict[str, Any]:
        """As messages hold it."""
        return {"type": "function", "id": self.number, "function": {"name": self.name, "arguments": self.arguments}}

    def action(self, functions: dict[str, Callable[..., Any]]) -> Action:
        """The call itself; what is wrong with it is raised when it is made, as an error of the function would be."""
        function = functions.get(self.name)
        if self.problem is not None:
            return Raise(ValueError(self.problem))
        if function is None:
            return Raise(LookupError(f"there is no tool {self.name!r}; there are {', '.join(functions)}"))
        try:
            bound = inspect.signature(function).bind(**self.arguments)
        except TypeError as error:
            return Raise(TypeError(f"{self.name}: {error}"))
        return Call(function, bound)


@dataclass(frozen=True)
class Raise:
    """An action that cannot be."""

    error: Exception

    def __call__(self) -> Any:
        raise self.error


@dataclass(frozen=True)
class Call:
    """A function with arguments that fit it."""

    function: Callable[..., Any]
    bound: inspect.BoundArguments

    def __call__(self) -> Any:
        return self.function(*self.bound.args, **self.bound.kwargs)


@dataclass(frozen=True)
class Outcome:
    """What an action returned, or raised."""

    value: Any = None
    error: BaseException | None = None
    abandoned: bool = False
    """It took too long, and may still be running."""

    def text(self) -> str:
        """As the model reads it: text and parts of text as they are, other values as JSON where they have any.

        Raises:
            TypeError: a part is an image, or something else that no conversation here can show.
        """
        if self.error is not None:
            return printable(f"Error: {type(self.error).__name__}: {self.error}")
        if isinstance(self.value, str):
            return printable(self.value)
        if isinstance(self.value, list) and self.value and all(is_part(each) for each in self.value):
            return printable("".join(text_of_part(each) for each in self.value))
        try:
            return printable(json.dumps(self.value, ensure_ascii=False, default=str))
        except (TypeError, ValueError, RecursionError):  # keys that are no text, values that hold themselves
            return printable(str(self.value))


def printable(text: str) -> str:
    """Text without halves of characters, which JSON can hold, but neither tokenizers nor files take."""
    return text.encode("utf-8", "replace").decode("utf-8")


def is_part(value: Any) -> bool:
    """Whether a value is a typed part of a content, such as `{"type": "text", "text": ...}`."""
    return isinstance(value, dict) and value.get("type") in value


def text_of_part(part: dict[str, Any]) -> str:
    if part["type"] != "text":
        raise TypeError(f"a tool returned a part of the type {part['type']!r}. Tools can return text only.")
    return str(part["text"])


class Calls:
    """Makes the calls of many conversations: those of one in their order, conversations side by side.

    Asynchronous functions share one event loop in a thread of its own, for as long as this object lives. Others run in
    the calling thread, one after the other, unless there is a `timeout`: then each gets a thread, which is left behind
    when its time is over, since none can be stopped.

    Args:
        timeout: Seconds that a call may take.
    """

    def __init__(self, timeout: float | None = None) -> None:
        if timeout is not None and not timeout > 0:
            raise ValueError(f"`tool_timeout={timeout}` must be positive, or None.")
        self.timeout = timeout
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of asynchronous functions."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="sternpost tools", daemon=True).start()
            weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)
        return self._loop

    def run(self, conversations: Sequence[Sequence[Action]]) -> list[list[Outcome]]:
        """The outcomes of each conversation's actions, in order."""
        found: list[list[Outcome]] = [[] for _ in conversations]
        for actions in zip_longest(*conversations):
            futures = {at: self.begin(action) for at, action in enumerate(actions) if action is not None}
            deadline = None if self.timeout is None else time.monotonic() + self.timeout
            for at, future in futures.items():
                found[at].append(self.outcome(future, deadline))
        return found

    def begin(self, action: Action) -> "Future[Any]":
        """Let an action begin."""
        function = action.function if isinstance(action, Call) else action
        if self.timeout is None or inspect.iscoroutinefunction(function):
            return self.here(action)
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # it cannot be cancelled, only left alone

        def work() -> None:
            inner = self.here(action)
            error = inner.exception()
            future.set_result(inner.result()) if error is None else future.set_exception(error)

        threading.Thread(target=work, name="sternpost tool", daemon=True).start()
        return future

    def here(self, action: Action) -> "Future[Any]":
        """Call in this thread; what there is to await is awaited in the loop."""
        future: Future[Any] = Future()
        try:
            value = action()
            if inspect.isawaitable(value):
                return asyncio.run_coroutine_threadsafe(awaited(value), self.loop)
            future.set_result(value)
        except (Exception, SystemExit) as error:
            future.set_exception(error)
        return future

    def outcome(self, future: "Future[Any]", deadline: float | None) -> Outcome:
        wait([future], None if deadline is None else max(deadline - time.monotonic(), 0))
        if not future.done():
            future.cancel()
            return Outcome(error=TimeoutError(f"it took longer than {self.timeout:g} s"), abandoned=True)
        error = future.exception()
        return Outcome(future.result()) if error is None else Outcome(error=error)


async def awaited(value: Awaitable[Any]) -> Any:
    return await value
