"""How weights get to a vLLM server: through files that it can read, or by NCCL.

take     weights, which stay until the next ones are taken, so that they can be sent to a server that has lost them
push     the weights that were taken, to the server
"""

import fcntl
import os
import shutil
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Protocol

from safetensors.torch import save_file
from torch import Tensor
from urllib3.util import parse_url

from .vllm_http import Connection, LostError, RefusedError
from .vllm_weights import Named

PART = 2**30
"""Bytes after which a file is full: as much is held in memory beside the files."""


class Transfer(Protocol):
    """A way for weights to reach the server."""

    paths: list[str]
    """Where the weights that were taken lie; other ranks are told, so that they can push them too."""

    def take(self, weights: Named) -> None:
        """Keep weights until the next ones."""

    def has_weights(self) -> bool:
        """Whether this rank can push them."""

    def push(self) -> None:
        """Send what was taken.

        Raises:
            LostError: another rank has to.
        """

    def alone(self) -> AbstractContextManager[None]:
        """One pusher at a time."""


class FileTransfer:
    """Safetensors files. For servers whose weight transfer is `sternpost`.

    Args:
        connection: The server.
        directory: Where files are put; the server has to be able to read them under the same path.

    Raises:
        ValueError: the server is elsewhere, and there is no directory.
    """

    def __init__(self, connection: Connection, directory: str | None = None) -> None:
        self.connection = connection
        self.directory = Path(directory_for(connection.url) if directory is None else directory)
        self.paths: list[str] = []
        self.tidying: Any = None

    def take(self, weights: Named) -> None:
        self.clear()
        if self.tidying is None:
            self.tidying = weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)
        part: dict[str, Tensor] = {}
        for name, weight in weights:
            part[name] = compact(weight)
            if sum(each.nbytes for each in part.values()) >= PART:
                self.write(part)
                part = {}
        self.write(part)

    def clear(self) -> None:
        """Make room: weights of a run that was killed may still be there."""
        self.paths = []
        self.make()
        for old in self.directory.glob("*.safetensors"):
            old.unlink()

    def make(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, part: dict[str, Tensor]) -> None:
        path = str(self.directory / f"{len(self.paths)}.safetensors")
        save_file(part, path)
        self.paths.append(path)

    def has_weights(self) -> bool:
        return bool(self.paths)

    def push(self) -> None:
        begin(self.connection)
        for path in self.paths:
            self.connection.post("/update_weights", {"update_info": {"paths": [path]}})
        self.connection.post("/finish_weight_update", {})

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Threads and processes wait for one another: the lock belongs to the file as it is opened here."""
        self.make()
        with (self.directory / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


class NCCLTransfer:
    """vLLM's own NCCL engine. For servers on accelerators whose weight transfer is `nccl`.

    Not run by any test of this project, which has no accelerator.

    Args:
        connection: The server.
        port: On this host, where trainer and server meet.
    """

    def __init__(self, connection: Connection, port: int) -> None:
        self.connection, self.port = connection, port
        self.paths: list[str] = []
        self.weights: dict[str, Tensor] = {}
        self.sender: Any = None
        self.lock = threading.Lock()

    def take(self, weights: Named) -> None:
        self.weights = {}
        for name, weight in weights:
            self.weights[name] = weight.cpu()

    def has_weights(self) -> bool:
        return bool(self.weights)

    def push(self) -> None:
        if not self.weights:
            raise LostError("the server needs weights again, which only the first rank can send")
        from .vllm_nccl import Sender

        if self.sender is None or self.connection.get("/weight_info")["weight_version"] == "default":
            self.sender = Sender(self.connection, address_towards(self.connection.url), self.port)
        self.sender.send(self.weights)

    def alone(self) -> AbstractContextManager[Any]:
        return self.lock


def begin(connection: Connection) -> None:
    """Start an update; one that a trainer left open when it died is closed first."""
    try:
        connection.post("/start_weight_update", {})
    except RefusedError as error:
        if "already active" not in str(error):
            raise
        connection.post("/finish_weight_update", {})
        connection.post("/start_weight_update", {})


def compact(weight: Tensor) -> Tensor:
    """On the CPU, and alone in its memory: what a file can hold."""
    weight = weight.cpu().contiguous()
    return weight if weight.untyped_storage().nbytes() == weight.nbytes else weight.clone()


def directory_for(url: str) -> str:
    """Memory of this host, the same directory for each run with this server: what a killed run left is replaced.

    Raises:
        ValueError: the server is not on this host.
    """
    parts = parse_url(url)
    if parts.host not in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0", socket.gethostname(), socket.getfqdn()):
        raise ValueError(
            f"The server at {url} takes weights from files, but is on another host. Start it with "
            '`--weight-transfer-config \'{"backend": "nccl"}\'`, or pass `backend=VLLMServer(url, directory=...)` with '
            "a directory that both hosts have."
        )
    memory = Path("/dev/shm")
    return str((memory if memory.is_dir() else Path(gettempdir())) / f"sternpost-vllm-{os.getuid()}-{parts.port or 80}")


def address_towards(url: str) -> str:
    """The address of this host that another one sees."""
    parts = parse_url(url)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((parts.host, parts.port or 80))  # sends nothing
        return probe.getsockname()[0]
