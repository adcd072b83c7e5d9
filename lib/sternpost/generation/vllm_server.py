"""Generation by a vLLM server: a plain `vllm serve`, on this host or another.

sync     weights -> files that the server can read, or NCCL -> the server; a name for them, which it keeps
sample   one request for each group, all at once; each asks first under which name the server's weights go

A server that was started again has other weights, and no name for them. So it is seen before a request is made; it gets
the weights once more, and what was lost with the old one is asked for again: a step is not lost.
"""

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from urllib3.util import parse_url

from .backend import Completion, Group, Sampling
from .vllm_http import Connection, LostError, RefusedError, all_at_once, pause_after
from .vllm_plugin import NAME
from .vllm_requests import check_prompts, for_each_member, parameters_of
from .vllm_transfer import FileTransfer, NCCLTransfer, Transfer
from .vllm_weights import checkpoint_weights

logger = logging.getLogger(__name__)

T = TypeVar("T")

UNNAMED = "default"
"""How vLLM calls the weights that it was started with."""
ATTEMPTS = 10
"""How often something is asked for that takes the server down each time."""
COMMAND = (
    "VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --logprobs-mode processed_logprobs "
    f'--weight-transfer-config \'{{"backend": "{NAME}"}}\''
)


class VLLMServer:
    """Draws completions from a vLLM server that belongs to this run.

    Args:
        base_url: Where it is, such as `http://localhost:8000`.
        timeout: Seconds to wait for a server that does not answer: while it starts, or starts again.
        regex: What completions have to match.
        directory: Where weights are put for the server to read; by default in memory, if the server is on this host.
        group_port: Port of the trainer's host for the server's NCCL group, if it takes weights that way.

    Raises:
        ValueError: the address is none, or the server was started without what is needed.
        TimeoutError: no server answers.
    """

    def __init__(
        self,
        base_url: str,
        timeout: float = 240.0,
        *,
        regex: str | None = None,
        directory: str | None = None,
        group_port: int = 51216,
    ) -> None:
        if parse_url(base_url).scheme not in ("http", "https"):
            raise ValueError(f"`base_url={base_url!r}` has to begin with http:// or https://.")
        self.connection = Connection(base_url, timeout)
        self.timeout = timeout
        self.wanted = {} if regex is None else {"structured_outputs": {"regex": regex}}
        self.version: str | None = None
        self.run, self.synced = uuid.uuid4().hex, 0
        if self.wait_for(self.check) == NAME:
            self.transfer: Transfer = FileTransfer(self.connection, directory)
        else:
            self.transfer = NCCLTransfer(self.connection, group_port)

    # ---- The server ------------------------------------------------------------------------------------------------

    def check(self) -> str:
        """Which way the server takes weights."""
        try:
            self.connection.get("/weight_info")
            config = self.connection.get("/server_info?config_format=json")["vllm_config"]
        except RefusedError as error:
            raise ValueError(
                f"The server at {self.connection.url} cannot be given weights ({error}). It has to be vLLM 0.27 or "
                f"newer, started like this: {COMMAND}"
            ) from error
        mode = config["model_config"]["logprobs_mode"]
        if mode != "processed_logprobs":
            raise ValueError(
                f"The server's log-probabilities are `{mode}`: not those that tokens are drawn with. Start it like "
                f"this: {COMMAND}"
            )
        backend = (config["weight_transfer_config"] or {}).get("backend")
        if backend not in (NAME, "nccl"):
            raise ValueError(
                f'The server has the weight transfer {backend!r}, and not "{NAME}" (files, with Sternpost installed '
                f'beside vLLM) or "nccl". Start it like this: {COMMAND}'
            )
        return backend

    def wait_for(self, work: Callable[[], Any]) -> Any:
        """Do what needs a server, until one answers.

        Raises:
            TimeoutError: none did.
        """
        start, attempt = time.monotonic(), 0
        while True:
            try:
                return work()
            except LostError as error:
                if time.monotonic() - start > self.timeout:
                    raise TimeoutError(
                        f"No vLLM server has answered at {self.connection.url} for {self.timeout:.0f} seconds "
                        f"(`vllm_server_timeout`); the last attempt was {error}"
                    ) from error
            attempt += 1
            pause_after(attempt)

    def insist(self, ready: Callable[[], Any], work: Callable[[], T]) -> T:
        """Do work with a server that is ready for it, again as often as it gets lost.

        Raises:
            TimeoutError: no server answers.
            RuntimeError: the server refused, or was lost each time.
        """
        attempt = 0
        while True:
            ready()
            try:
                return work()
            except (LostError, RefusedError) as error:
                attempt += 1
                if isinstance(error, RefusedError) and error.status < 500:
                    raise
                if attempt == ATTEMPTS:
                    raise RuntimeError(f"vLLM failed {ATTEMPTS} times at the same; the last time: {error}") from error
            pause_after(attempt)

    # ---- Weights ---------------------------------------------------------------------------------------------------

    def sync(self, model: Any) -> None:
        """Give the server the policy's weights. Every rank has to call this; the first one talks to the server.

        Raises:
            ValueError: weights that cannot be told (quantised, virtual tokens).
            TimeoutError: no server answers.
            RuntimeError: it refused, or went down each time; or the first rank failed.
        """
        state = PartialState()
        self.synced += 1
        weights = checkpoint_weights(model)
        failure: Exception | None = None
        try:
            if state.is_main_process:
                self.version = f"{self.run}-{self.synced}"
                self.transfer.take(weights)
                self.deliver()
        except Exception as error:
            failure = error
        for _ in weights:  # gathering needs every rank, also one that has failed
            pass
        told: list[Any] = [self.version, self.transfer.paths, failure and repr(failure)]
        broadcast_object_list(told)
        self.version, self.transfer.paths, seen = told
        if failure is not None:
            raise failure
        if seen is not None:
            raise RuntimeError(f"the first rank could not give vLLM the weights: {seen}")

    def deliver(self) -> None:
        """Let the server have the weights that were taken last; from here, or else wait for the rank that has them."""
        if self.transfer.has_weights():
            self.insist(lambda: self.wait_for(self.served), self.deliver_once)
        else:
            self.wait_for(self.deliver_once)

    def deliver_once(self) -> None:
        """Unless it has them: another rank may have been faster."""
        with self.transfer.alone():
            if self.served() == self.version:
                return
            self.transfer.push()
            if not self.connection.post("/reset_prefix_cache", {})["success"]:
                raise LostError("the server still works on what it has computed with old weights")
            self.connection.post("/update_weight_version", {"new_version": self.version})

    def served(self) -> str:
        """The name of the weights that the server has."""
        return self.connection.get("/weight_info")["weight_version"]

    def ensure_current(self) -> None:
        """Wait for a server with the right weights.

        Raises:
            TimeoutError: there is none.
            RuntimeError: somebody else gave it weights.
        """
        served = self.wait_for(self.served)
        if served == self.version:
            return
        if served != UNNAMED:
            raise RuntimeError(
                f"The server at {self.connection.url} has weights of another run ({served}). Give each run a server of "
                "its own."
            )
        logger.warning("The vLLM server at %s was started again: it gets the weights once more.", self.connection.url)
        self.deliver()

    # ---- Completions -----------------------------------------------------------------------------------------------

    def sample(self, groups: Sequence[Group], sampling: Sampling) -> list[list[Completion]]:
        """The completions of each group, in order.

        Their log-probabilities are of what was drawn from: after `top_k`, `top_p` and `min_p` have left tokens out.

        Raises:
            ValueError: a prompt is empty.
            TimeoutError: no server answers.
            RuntimeError: it refused, or there are no weights that it could draw with.
        """
        if self.version is None:
            raise RuntimeError("The server has none of the policy's weights yet. Call `sync(model)` before `sample`.")
        check_prompts(groups)
        bodies = [
            {
                "prompt": list(group.prompt),
                "return_token_ids": True,
                **self.wanted,
                **parameters_of(group, number, sampling),
            }
            for number, group in enumerate(groups)
        ]
        self.heard = time.monotonic()
        answers = all_at_once(lambda number: self.request(bodies[number]), len(bodies), self.watch)
        return [for_each_member(found, group) for found, group in zip(answers, groups, strict=True)]

    def request(self, body: dict[str, Any]) -> list[Completion]:
        """The completions of one request."""
        return self.insist(
            self.ensure_current, lambda: completions_of(self.connection.post("/v1/completions", body, patient=True))
        )

    def watch(self) -> None:
        """Raise if the server keeps connections open but has been silent for too long."""
        try:
            self.served()
            self.heard = time.monotonic()
        except LostError as error:
            if time.monotonic() - self.heard > self.timeout:
                raise TimeoutError(f"The vLLM server at {self.connection.url} does not go on: {error}") from error


def completions_of(answer: dict[str, Any]) -> list[Completion]:
    """The completions in an answer.

    Raises:
        LostError: one was broken off.
    """
    found = []
    for choice in sorted(answer["choices"], key=lambda choice: choice["index"]):
        if choice["finish_reason"] not in ("stop", "length"):
            raise LostError(f"a completion ended by {choice['finish_reason']!r}")
        finished = choice["finish_reason"] == "stop"
        found.append(Completion(choice["token_ids"], choice["logprobs"]["token_logprobs"], finished))
    return found
