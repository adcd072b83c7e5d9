"""A stand-in for `vllm serve`: the endpoints that we use, answers that tell which weights gave them, and faults.

Answers and refusals are those that vLLM 0.32 gave; vllm_tests/ runs the same client against the real one.
"""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from safetensors.torch import load_file

DELAY = 0.05
"""Seconds until a server is there again."""


class FakeVLLM:
    """One address, at which one server after another may live. `life` counts them.

    `fault` is asked before each request for completions, with its number; it returns what goes wrong, or None.
    """

    def __init__(self, fault: Callable[[int], str | None] = lambda number: None, **config: Any) -> None:
        self.fault, self.config = fault, {"logprobs_mode": "processed_logprobs", "backend": "sternpost"} | config
        self.asked: list[tuple[str, Any]] = []
        self.life = 0
        self.requests = 0
        self.together = 0
        self.most_together = 0
        self.lock, self.passing = threading.Lock(), threading.Lock()
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """A server with the weights that it was started with."""
        self.life += 1
        self.version, self.weights, self.loading = "default", {}, None
        self.cached: Any = None
        self.server = Server(self, self.port)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def kill(self) -> None:
        """As `kill -9` does: connections break, whatever was being answered."""
        self.server.shutdown()
        self.server.server_close()
        self.server.drop()

    def restart(self, life: int | None = None, after: float = 0.0) -> None:
        """Kill one life, unless it is over, and begin the next."""
        with self.passing:
            if life in (None, self.life):
                self.kill()
                time.sleep(after)
                self.start()

    def count(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(path for path, _ in self.asked)

    def bodies(self) -> list[dict[str, Any]]:
        """What completions were asked for."""
        return [body for path, body in self.asked if path == "/v1/completions"]

    # ---- Endpoints -------------------------------------------------------------------------------------------------

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON."""
        path = path.partition("?")[0]
        self.asked.append((path, body))
        if path == "/health":
            return 200, None
        if not self.config.get("dev_mode", True) and path != "/v1/completions":
            return 404, {"detail": "Not Found"}
        name = path.strip("/").replace("/", "_")
        return getattr(self, "restart_" if name == "restart" else name)(body)

    def restart_(self, body: Any) -> tuple[int, Any]:
        """For tests in other processes."""
        threading.Thread(target=self.restart, args=(self.life, DELAY)).start()
        return 200, None

    def weight_info(self, body: Any) -> tuple[int, Any]:
        return 200, {"weight_version": self.version}

    def server_info(self, body: Any) -> tuple[int, Any]:
        model = {"logprobs_mode": self.config["logprobs_mode"]}
        transfer = self.config["backend"] and {"backend": self.config["backend"]}
        return 200, {"vllm_config": {"model_config": model, "weight_transfer_config": transfer}}

    def start_weight_update(self, body: Any) -> tuple[int, Any]:
        if self.loading is not None:
            return refusal(500, "Call to collective_rpc method failed: a weight update is already active.")
        self.loading = {}
        return 200, {"message": "Weight update started"}

    def update_weights(self, body: Any) -> tuple[int, Any]:
        if self.loading is None:
            return refusal(500, "start_weight_update must be called before update_weights.")
        for path in body["update_info"]["paths"]:
            self.loading |= load_file(path)
        return 200, {"message": "Weights updated"}

    def finish_weight_update(self, body: Any) -> tuple[int, Any]:
        if self.loading is None:
            return refusal(500, "finish_weight_update called without a matching start_weight_update.")
        self.weights, self.loading = self.weights | self.loading, None
        return 200, {"message": "Weight update finished"}

    def reset_prefix_cache(self, body: Any) -> tuple[int, Any]:
        self.cached = None
        return 200, {"success": True}

    def update_weight_version(self, body: Any) -> tuple[int, Any]:
        self.version = body["new_version"]
        return 200, {"success": True}

    def v1_completions(self, body: Any) -> tuple[int, Any]:
        with self.lock:
            self.requests += 1
            number = self.requests
            self.together += 1
            self.most_together = max(self.most_together, self.together)
        try:
            match self.fault(number):
                case "die":
                    threading.Thread(target=self.restart, args=(self.life, DELAY)).start()
                    raise ConnectionAbortedError
                case "drop":
                    raise ConnectionAbortedError
                case "hang":
                    time.sleep(60)
                case "abort":
                    return 200, {"choices": self.choices(body, "abort")}
                case int(status):
                    return refusal(status, "EngineCore encountered an issue.")
            return 200, {"choices": self.choices(body)}
        finally:
            with self.lock:
                self.together -= 1

    def choices(self, body: Any, reason: str | None = None) -> list[dict[str, Any]]:
        """What vLLM would draw: it depends on weights, prompt and seed, and comes in no order.

        What was computed for a prompt is kept until the cache is reset, also when the weights change.
        """
        if self.cached is None:
            self.cached = fingerprint(self.weights)
        found = []
        for index in reversed(range(body["n"])):
            ids, logps = completion(self.cached, body, index)
            ended = "stop" if ids[-1] in body["stop_token_ids"] else "length"
            made = {"token_ids": ids, "logprobs": {"token_logprobs": logps}}
            found.append({"index": index, "finish_reason": reason or ended, **made})
        return found


def fingerprint(weights: dict[str, Any]) -> float:
    """A number that tells weights from others."""
    return float(sum(weight.double().sum() for _, weight in sorted(weights.items())))


def completion(known: float, body: Any, index: int) -> tuple[list[int], list[float]]:
    """The `index`-th completion that weights with a fingerprint give."""
    start = sum(body["prompt"]) + body["seed"] // 2**16 + index + int(known * 1000)
    ids, logps = [], []
    while len(ids) < body["max_tokens"] and not set(ids) & set(body["stop_token_ids"]):
        ids.append((start + len(ids) ** 2) % 17)
        logps.append(-abs(known) % 5 - len(ids))
    return ids, logps


def refusal(status: int, message: str) -> tuple[int, Any]:
    return status, {"error": {"message": message, "code": status}}


class Server(ThreadingHTTPServer):
    """One life. It knows its connections, so that it can break them."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, fake: FakeVLLM, port: int) -> None:
        self.fake, self.connections = fake, set[socket.socket]()
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def drop(self) -> None:
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is closed already
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is what was wanted."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, answer = self.server.fake.answer(self.path, body)
        text = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Nothing is printed."""
