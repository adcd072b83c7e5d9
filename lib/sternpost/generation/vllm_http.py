"""Talking to a vLLM server: requests over pooled connections, and which failures mean that it is worth asking again."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

CONNECT = 10.0
"""Seconds within which a server that is there accepts a connection."""


MOST = 256
"""Requests that are made side by side."""
WATCH = 5.0
"""Seconds between two looks at a server that has requests to answer."""

LONGEST_PAUSE = 2.0
"""Seconds between two attempts to reach a server that does not answer."""

T = TypeVar("T")


class LostError(ConnectionError):
    """No answer came, or one that says that the server cannot answer now."""


class RefusedError(RuntimeError):
    """The server answered that it will not do this."""

    def __init__(self, status: int, asked: str, message: str) -> None:
        super().__init__(f"the vLLM server answered {asked} with {status}: {message}")
        self.status = status


class Connection:
    """A server and the connections to it; threads may share it."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url, self.timeout = url.rstrip("/"), timeout
        options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        if sys.platform == "linux":  # a machine that has gone away is noticed in about a minute
            options += [(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30), (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)]
        self.pool = urllib3.PoolManager(maxsize=MOST + 8, retries=False, socket_options=options)

    def get(self, path: str) -> Any:
        return self.ask("GET", path, None, self.timeout)

    def post(self, path: str, body: dict[str, Any], patient: bool = False) -> Any:
        """`patient`: however long the answer takes."""
        return self.ask("POST", path, body, None if patient else self.timeout)

    def ask(self, method: str, path: str, body: dict[str, Any] | None, patience: float | None) -> Any:
        """The answer, read from JSON.

        Raises:
            LostError: there was none, or the server is going down or coming up.
            RefusedError: it is a refusal, which would come again.
        """
        wait = urllib3.Timeout(connect=min(CONNECT, self.timeout), read=patience)
        try:
            answer = self.pool.request(method, self.url + path, json=body, timeout=wait)
        except HTTPError as error:
            raise LostError(f"{method} {path}: {error}") from error
        text = answer.data.decode(errors="replace")
        if answer.status in (502, 503, 504) or (answer.status == 500 and not self.is_healthy()):
            raise LostError(f"{method} {path}: {answer.status} {text[:500]}")
        if answer.status != 200:
            raise RefusedError(answer.status, f"{method} {path}", message_of(text))
        return json.loads(text) if text else None

    def is_healthy(self) -> bool:
        """Whether the server says that it is well."""
        try:
            wait = urllib3.Timeout(connect=min(CONNECT, self.timeout), read=self.timeout)
            return self.pool.request("GET", f"{self.url}/health", timeout=wait).status == 200
        except HTTPError:
            return False


def message_of(text: str) -> str:
    """What an error says, without what is around it."""
    try:
        return json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return text[:500]


def all_at_once(work: Callable[[int], T], count: int, watch: Callable[[], None]) -> list[T]:
    """`work(0) ... work(count - 1)` in threads, while `watch` is called every now and then. The first error is raised.

    The threads keep no process from ending, as those of an executor would: they may wait for a server that hangs.
    """
    results: dict[int, T] = {}
    failures: list[BaseException] = []
    waiting = SimpleQueue[int]()
    for number in range(count):
        waiting.put(number)

    def run() -> None:
        with suppress(Empty):
            while not failures:
                number = waiting.get_nowait()
                try:
                    results[number] = work(number)
                except BaseException as error:
                    failures.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(count, MOST))]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive() and not failures:
            thread.join(WATCH)
            if thread.is_alive():
                watch()
    if failures:
        raise failures[0]
    return [results[number] for number in range(count)]


def pause_after(attempt: int) -> None:
    """Wait before the next attempt, each time longer."""
    time.sleep(min(0.05 * 2**attempt, LONGEST_PAUSE))
