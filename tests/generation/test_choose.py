"""The options decide what draws completions, and say what is missing."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from peft import PromptTuningConfig, TaskType, get_peft_model

from sternpost.generation import vllm_colocate
from sternpost.generation.choose import choose_backend
from sternpost.generation.engine import InProcessEngine
from sternpost.generation.vllm_server import VLLMServer
from tests import tiny
from tests.generation.fake_vllm import FakeVLLM


@dataclass
class Options:
    generation_slots: int = 7
    ds3_gather_for_generation: bool = True
    use_vllm: bool = True
    vllm_mode: str = "colocate"
    vllm_model_impl: str = "vllm"
    vllm_enable_sleep_mode: bool = False
    vllm_structured_outputs_regex: str | None = None
    vllm_server_base_url: str | None = None
    vllm_server_host: str = "127.0.0.1"
    vllm_server_port: int = 8000
    vllm_server_timeout: float = 5.0
    vllm_group_port: int = 51216
    vllm_gpu_memory_utilization: float = 0.3
    vllm_max_model_length: int | None = None
    vllm_tensor_parallel_size: int = 1


def choose(options: Options, policy=None, precision: str = "no"):
    accelerator = SimpleNamespace(mixed_precision=precision)
    return choose_backend(options, policy or tiny.model(), tiny.tokenizer(), accelerator)


def test_the_engine_in_this_process():
    """Unless vLLM is asked for, whatever its other options say."""
    backend = choose(Options(use_vllm=False, vllm_mode="server"))
    assert isinstance(backend, InProcessEngine)
    assert (backend.slots, backend.autocast, backend.gather) == (7, None, True)
    backend = choose(Options(use_vllm=False, ds3_gather_for_generation=False), precision="bf16")
    assert (backend.autocast, backend.gather) == (torch.bfloat16, False)
    backend = choose(Options(use_vllm=False), tiny.model().bfloat16(), precision="bf16")
    assert backend.autocast is None  # there is nothing to cast


@pytest.mark.parametrize("whole", [True, False])
def test_a_server(whole):
    """By its address, or by host and port; the other options reach it."""
    fake = FakeVLLM()
    where = {"vllm_server_base_url": fake.url} if whole else {"vllm_server_port": fake.port}
    backend = choose(Options(vllm_mode="server", vllm_structured_outputs_regex="[a-c]+", **where))
    assert isinstance(backend, VLLMServer)
    assert backend.connection.url == fake.url
    assert backend.timeout == 5.0
    assert backend.wanted == {"structured_outputs": {"regex": "[a-c]+"}}
    fake.kill()


def test_vllm_is_missing(monkeypatch: pytest.MonkeyPatch):
    """The message has the command that installs it."""
    monkeypatch.setattr(vllm_colocate, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'vllm_mode="colocate".*pip install "sternpost\[vllm\]"'):
        choose(Options())


def test_a_policy_that_vllm_cannot_run():
    """It is refused before anything is started."""
    policy = get_peft_model(tiny.model(), PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=2))
    with pytest.raises(ValueError, match="virtual tokens"):
        choose(Options(vllm_mode="server"), policy)
