"""A real `vllm serve`, and what keeps it alive."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import urllib3


class Served:
    """A server on this host that is started again, with the weights of its checkpoint, whenever it dies.

    Args:
        model: The checkpoint.
        log: File for what it prints.
    """

    def __init__(self, model: Path, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.model, self.log = model, log
        self.url = f"http://127.0.0.1:{self.port}"
        self.starts, self.closed = 0, False
        self.start()
        threading.Thread(target=self.keep, daemon=True).start()

    def start(self) -> None:
        self.starts += 1
        command = [Path(sys.executable).with_name("vllm"), "serve", self.model, "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--dtype", "float32", "--max-model-len", "1024", "--enforce-eager"]
        command += ["--logprobs-mode", "processed_logprobs", "--weight-transfer-config", '{"backend": "sternpost"}']
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True,
                env=os.environ | {"VLLM_SERVER_DEV_MODE": "1", "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def keep(self) -> None:
        """As a supervisor would."""
        while not self.closed:
            if self.process.poll() is not None:
                self.end()
                self.start()
            time.sleep(0.2)

    def kill(self) -> None:
        """`kill -9` of all its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)

    def kill_engine(self) -> None:
        """Only of the one that computes, as the kernel does when memory runs out; the rest of it ends by itself."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,args="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            pid, group, name = line.split(maxsplit=2)
            if int(group) == self.process.pid and "EngineCore" in name:
                os.kill(int(pid), signal.SIGKILL)
                return
        raise AssertionError(f"no engine among {listed.stdout}")

    def end(self) -> None:
        """Nothing of it is left."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def is_busy(self) -> bool:
        """Whether it computes a request."""
        try:
            text = urllib3.request("GET", f"{self.url}/metrics", timeout=10).data.decode()
        except urllib3.exceptions.HTTPError:  # it is not there
            return False
        running = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running")]
        return any(float(line.rsplit(maxsplit=1)[1]) > 0 for line in running)

    def kill_when_busy(self, kill: Callable[[], None]) -> threading.Thread:
        """Call `kill` as soon as a request is computed; the thread ends then, or when none has been for long."""

        def wait() -> None:
            for _ in range(3000):
                if self.is_busy():
                    kill()
                    return
                time.sleep(0.1)

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    def close(self) -> None:
        self.closed = True
        self.end()
        self.process.wait()
