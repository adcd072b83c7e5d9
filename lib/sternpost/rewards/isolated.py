"""A reward function in a process of its own, for judging that is fragile or handles what is not trusted.

trainer                       child.py, in a new process
module and name          ->   imports the function
arguments, pickled       ->   calls it
                         <-   rewards and what it logged, as JSON: nothing that it sends is executed here

The process has neither the trainer's variables of the environment, where tokens and keys are, nor its accelerators. It
is no sandbox: it has the user's files and the network.
"""

import asyncio
import contextlib
import inspect
import json
import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .run import NotGiven

HEADER = struct.Struct("!Q")
"""Before each message stands its length in bytes."""
LONGEST = 2**28
"""Bytes of an answer."""
START = 120.0
"""Seconds that a process may take to import the function."""
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH")
"""Variables of the environment that the process is given."""
NO_DEVICES = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "", "ROCR_VISIBLE_DEVICES": ""}
STAYS = ("trainer_state", "environments", "log_extra", "log_metric")
"""What cannot leave the trainer; the process has a `log_extra` and a `log_metric` of its own."""


def isolated(
    function: Callable[..., Any] | str,
    timeout: float | None = None,
    restarts: int = 1,
    environment: Mapping[str, str] | None = None,
) -> "Isolated":
    """A reward that runs in a process of its own, whose end or hanging does not harm the run.

    Args:
        function: A function of a module, which the process imports, or its dotted path; then only the process does.
        timeout: Seconds that it may take for a batch. After that the process is killed, and the reward counts as not
            given for the batch. By default what `reward_timeout` says.
        restarts: How often a batch is tried again, in a new process, if the process ends by itself (a crash, a signal,
            running out of memory). After that the reward counts as not given for the batch.
        environment: Variables for the process, beside the few that it has: see `KEPT`.

    Raises:
        ValueError: the process could not import the function, as it is no function of a module.
    """
    return Isolated(function, timeout, restarts, environment)


class Isolated:
    """A reward function that runs in a process of its own; [`isolated`] makes it."""

    def __init__(
        self, function: Callable[..., Any] | str, timeout: float | None, restarts: int, environment: Any
    ) -> None:
        if timeout is not None and not timeout > 0:
            raise ValueError(f"`timeout={timeout}` must be positive. Leave it out to wait as long as `reward_timeout`.")
        if restarts < 0:
            raise ValueError(f"`restarts={restarts}` must not be negative.")
        self.target = target_of(function)
        self.function, self.timeout, self.restarts = function, timeout, restarts
        self.environment: dict[str, str] = dict(environment or {})
        self.__name__ = self.target[1].rpartition(".")[2]
        self.__signature__ = signature_of(function)
        self.process: asyncio.subprocess.Process | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, **arguments: Any) -> list[Any]:
        """What the function gives for these arguments.

        Raises:
            NotGiven: its process hangs, or ends more often than `restarts`.
            RuntimeError: the function raised, or cannot be imported.
        """
        request = pickle.dumps({name: value for name, value in arguments.items() if name not in STAYS})
        ends: list[str] = []
        while len(ends) <= self.restarts:
            try:
                process = await self.ready()
                async with asyncio.timeout(self.timeout):
                    answer = await exchange(process, request)
            except TimeoutError:
                self.kill()
                raise NotGiven(f"took longer than {self.timeout:g} s, and its process was killed") from None
            except (EOFError, ConnectionError):
                ends.append(await self.stop())
            except BaseException:
                self.kill()  # so that the next batch does not read an answer to this one
                raise
            else:
                return noted(answer, arguments)
        raise NotGiven(f"ended its process ({', then '.join(ends)})")

    async def ready(self) -> asyncio.subprocess.Process:
        """The process, with the function imported."""
        loop = asyncio.get_running_loop()
        if self.process is not None and self.loop is loop and self.process.returncode is None:
            return self.process
        self.kill()
        self.loop = loop
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "sternpost.rewards.child",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
            env=self.variables(),
        )  # fmt: skip
        try:
            async with asyncio.timeout(START):
                answer = await exchange(self.process, json.dumps(self.target).encode())
        except TimeoutError:
            raise RuntimeError(f"its process did not import `{'.'.join(self.target)}` within {START:g} s") from None
        noted(answer, {})
        return self.process

    def variables(self) -> dict[str, str]:
        """The environment of the process."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        path = os.pathsep.join(each for each in (*sys.path, str(Path.cwd())) if each)
        return {**kept, **NO_DEVICES, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **self.environment}

    def kill(self) -> None:
        """End the process and what it has started."""
        process, self.process = self.process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()

    async def stop(self) -> str:
        """End the process, and say how it ended if it had."""
        process = self.process
        if process is None:
            return "it was gone"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await process.wait()
        code = process.returncode
        self.kill()
        if code is None:
            return "it closed its pipe"
        return f"signal {-code}" if code < 0 else f"exit status {code}"


async def exchange(process: asyncio.subprocess.Process, message: bytes) -> dict[str, Any]:
    """Send a message to a process and wait for its answer.

    Raises:
        EOFError, ConnectionError: the process ended.
    """
    if process.stdin is None or process.stdout is None:
        raise EOFError
    process.stdin.write(HEADER.pack(len(message)) + message)
    await process.stdin.drain()
    (length,) = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
    if length > LONGEST:
        raise EOFError
    found = json.loads(await process.stdout.readexactly(length))
    return found if isinstance(found, dict) else {}


def noted(answer: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[Any]:
    """The rewards of an answer; what it logged is logged here.

    Raises:
        RuntimeError: the function raised.
    """
    if "error" in answer:
        error = RuntimeError(f"{answer['error']} (in its own process)")
        error.add_note(str(answer.get("trace", "")))
        raise error
    for column, values in answer.get("columns", {}).items():
        arguments["log_extra"](column, values)
    for name, value in answer.get("metrics", {}).items():
        arguments["log_metric"](name, value)
    return answer.get("rewards", [])


def target_of(function: Callable[..., Any] | str) -> tuple[str, str]:
    """The module of a function, and its name there.

    Raises:
        ValueError: no process could import it.
    """
    if isinstance(function, str):
        module, _, name = function.rpartition(".")
    else:
        module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if not module or not name or module == "__main__" or "<" in name:
        raise ValueError(
            f"`isolated` got {function!r}, which another process cannot import. Give a function of a module (not of "
            "the script that is run, not a lambda, not one made inside another), or its dotted path."
        )
    return module, name


def signature_of(function: Callable[..., Any] | str) -> inspect.Signature:
    """What the function takes; behind a dotted path, anything.

    Raises:
        ValueError: it needs what cannot leave the trainer.
    """
    if isinstance(function, str):
        return inspect.Signature([inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)])
    signature = inspect.signature(function)
    needed = [name for name in STAYS[:2] if name in signature.parameters]
    if needed:
        raise ValueError(
            f"`isolated` got {function!r}, which asks for `{needed[0]}`: that stays in the trainer's process. Drop the "
            "parameter."
        )
    return signature
