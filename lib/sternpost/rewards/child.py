"""The process of an isolated reward: reads requests, calls the function, answers in JSON. See isolated.py."""

import asyncio
import importlib
import inspect
import json
import os
import pickle
import threading
import time
import traceback
from typing import IO, Any

from .isolated import HEADER, Isolated
from .notes import Notes
from .run import RewardFunction


def main() -> None:
    """Serve until the trainer is gone."""
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what the function prints must not get between the answers
    function: RewardFunction | None = None
    while (message := receive(incoming)) is not None:
        try:
            if function is None:
                function, answer = function_of(*json.loads(message)), b"{}"
            else:
                answer = json.dumps(judged(function, pickle.loads(message)), default=plain).encode()
        except BaseException as error:
            trace = "".join(traceback.format_exception(error))
            answer = json.dumps({"error": f"{type(error).__name__}: {error}", "trace": trace}).encode()
        outgoing.write(HEADER.pack(len(answer)) + answer)
        outgoing.flush()


def end_with(parent: int) -> None:
    """End when the trainer does, also while the function hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def receive(incoming: IO[bytes]) -> bytes | None:
    """The next message; None if there will be none."""
    header = incoming.read(HEADER.size)
    return incoming.read(*HEADER.unpack(header)) if len(header) == HEADER.size else None


def function_of(module: str, name: str) -> RewardFunction:
    """The function of a module."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if isinstance(found, Isolated):  # it was wrapped under its own name
        found = found.function
    return RewardFunction(name, found)


def judged(function: RewardFunction, columns: dict[str, Any]) -> dict[str, Any]:
    """What a function returns and logs."""
    notes = Notes(max((len(values) for values in columns.values() if isinstance(values, list)), default=0), ())
    arguments = columns | notes.functions()
    function.check(list(arguments))
    found = function.call(**function.accepted(arguments))
    if inspect.isawaitable(found):
        found = asyncio.run(awaited(found))
    return {"rewards": found, "columns": notes.columns, "metrics": notes.metrics()}


async def awaited(found: Any) -> Any:
    return await found


def plain(value: Any) -> Any:
    """Arrays, tensors and their numbers as Python has them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"an isolated reward may return and log numbers, text, lists and mappings, not {value!r}")


if __name__ == "__main__":
    main()
