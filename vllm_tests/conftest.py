"""Real vLLM on the CPU. `nox -s vllm` runs these tests; they need minutes."""

import os

os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="WARNING")

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from vllm_tests.policy import tiny_policy, tokenizer
from vllm_tests.server import Served


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def started_with(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose weights are not those of any policy: what a server has when it starts."""
    directory = tmp_path_factory.mktemp("model")
    tiny_policy(seed=99).save_pretrained(directory)
    tokenizer().save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def served(started_with: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that is started again whenever it dies."""
    server = Served(started_with, tmp_path_factory.mktemp("server") / "log")
    yield server
    server.close()
    print(server.log.read_text()[-20_000:])  # shown where a test failed
