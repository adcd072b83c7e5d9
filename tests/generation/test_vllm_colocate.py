"""vLLM beside the policy, against a stand-in for its `LLM`; vllm_tests/ runs the real one."""

import random
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sternpost.generation import vllm_colocate
from sternpost.generation.backend import Completion, Group, Sampling
from sternpost.generation.vllm_colocate import VLLMColocate
from tests import tiny

SAMPLING = Sampling(max_tokens=3, temperature=0.7, stop=frozenset({9}), seed=4)


class LLM:
    """Notes what is asked of it, and disturbs its process as vLLM does."""

    def __init__(self, **options: Any) -> None:
        self.options, self.calls = options, []
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        torch.set_num_threads = lambda count: None

    def __getattr__(self, name: str):
        return lambda *args, **kwargs: self.calls.append((name, *args, *kwargs.values()))

    def update_weights(self, request: dict[str, Any]) -> None:
        self.calls.append(("update_weights",))
        self.weights = dict(request["update_info"]["weights"])

    def generate(self, prompts: list[Any], parameters: list[Any], use_tqdm: bool) -> list[Any]:
        torch.rand(1)
        self.calls.append(("generate",))
        self.parameters = parameters
        answers = []
        for prompt, wanted in zip(prompts, parameters, strict=True):
            first = prompt["prompt_token_ids"][0]
            outputs = [
                SimpleNamespace(
                    index=index, token_ids=(first, index), finish_reason="stop" if index else "length",
                    logprobs=[{first: SimpleNamespace(logprob=-1.0)}, {index: SimpleNamespace(logprob=-2.0)}],
                )
                for index in reversed(range(wanted.n))
            ]  # fmt: skip
            answers.append(SimpleNamespace(outputs=outputs))
        return answers


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    module, parameters = ModuleType("vllm"), ModuleType("vllm.sampling_params")
    module.LLM, module.SamplingParams = LLM, SimpleNamespace
    parameters.RequestOutputKind = SimpleNamespace(FINAL_ONLY="final")
    parameters.StructuredOutputsParams = SimpleNamespace
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", parameters)
    monkeypatch.setattr(vllm_colocate, "find_spec", lambda name: True)
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")


def test_completions_of_each_group_in_order(vllm):
    """Tokens, log-probabilities and whether they ended; greedy ones are asked for once."""
    backend = VLLMColocate(tiny.model(), tiny.tokenizer())
    backend.sync(tiny.model())
    found = backend.sample([Group([5, 6], 2), Group([7], 1)], SAMPLING)
    assert found == [
        [Completion([5, 0], [-1.0, -2.0], False), Completion([5, 1], [-1.0, -2.0], True)],
        [Completion([7, 0], [-1.0, -2.0], False)],
    ]
    (greedy,) = backend.sample([Group([5], 3)], Sampling(max_tokens=3, temperature=0))
    assert greedy == [Completion([5, 0], [-1.0, -2.0], False)] * 3
    assert backend.llm.parameters[0].n == 1


def test_the_engine_gets_the_weights_and_forgets_what_it_computed(vllm):
    """Whole, under the names of a checkpoint; what lies in its cache came from older ones."""
    model = tiny.model()
    backend = VLLMColocate(model, tiny.tokenizer())
    with pytest.raises(RuntimeError, match="sync"):
        backend.sample([Group([5])], SAMPLING)
    backend.sync(model)
    assert set(backend.llm.weights) == set(model.state_dict()) - {"lm_head.weight"}
    assert [name for name, *_ in backend.llm.calls] == [
        "start_weight_update", "update_weights", "finish_weight_update", "reset_prefix_cache",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="prompt 0 has no tokens"):
        backend.sample([Group([])], SAMPLING)


def test_options_reach_the_engine(vllm):
    """In float32 for a float32 policy: left to itself, vLLM would halve it."""
    backend = VLLMColocate(
        tiny.model(), tiny.tokenizer(), slots=5, memory=0.4, max_length=99, implementation="transformers", regex="[ab]"
    )
    wanted = {
        "dtype": "float32", "max_num_seqs": 5, "gpu_memory_utilization": 0.4, "max_model_len": 99,
        "model_impl": "transformers", "logprobs_mode": "processed_logprobs", "load_format": "dummy",
        "weight_transfer_config": {"backend": "sternpost"}, "distributed_executor_backend": None,
    }  # fmt: skip
    assert {name: backend.llm.options[name] for name in wanted} == wanted
    backend.sync(tiny.model())
    backend.sample([Group([5])], SAMPLING)
    assert backend.llm.parameters[0].structured_outputs.regex == "[ab]"
    assert backend.llm.parameters[0].stop_token_ids == [9]


def test_sleep(vllm):
    """Memory is given back when asked; who draws again without a step in between gets the weights again first."""
    backend = VLLMColocate(tiny.model(), tiny.tokenizer(), sleep=True)
    assert not backend.sleeps  # on a CPU vLLM has none
    backend.sleeps = True
    backend.sync(tiny.model())
    backend.sample([Group([5])], SAMPLING)
    backend.sample([Group([5])], SAMPLING)
    assert [name for name, *_ in backend.llm.calls][-2:] == ["generate", "generate"]
    backend.rest()
    backend.rest()
    backend.llm.calls.remove(("sleep", 2))  # slept once
    backend.llm.calls.clear()
    backend.sample([Group([5])], SAMPLING)
    backend.rest()
    assert backend.llm.calls == [
        ("wake_up", ["weights"]), ("start_weight_update",), ("update_weights",), ("finish_weight_update",),
        ("wake_up", ["kv_cache"]), ("reset_prefix_cache",), ("generate",), ("sleep", 2),
    ]  # fmt: skip


def test_the_process_is_left_as_it_was(vllm):
    """Random numbers go on as if vLLM were not there, and torch's functions are its own."""
    model, tokenizer, threads = tiny.model(), tiny.tokenizer(), torch.set_num_threads
    before = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()
    backend = VLLMColocate(model, tokenizer)
    backend.sync(model)
    backend.sample([Group([5])], SAMPLING)
    assert (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()) == before
    assert torch.set_num_threads is threads


def test_ranks_that_cannot_be_divided(vllm):
    """An engine for two ranks needs two."""
    with pytest.raises(ValueError, match=r"`vllm_tensor_parallel_size=2` does not divide the 1 processes"):
        VLLMColocate(tiny.model(), tiny.tokenizer(), tensor_parallel_size=2)


def test_a_completion_that_was_broken_off(vllm, monkeypatch: pytest.MonkeyPatch):
    """It is not learned from: what it would have been is unknown."""
    backend = VLLMColocate(tiny.model(), tiny.tokenizer())
    backend.sync(tiny.model())
    outputs = [SimpleNamespace(index=0, token_ids=(5,), finish_reason="abort", logprobs=[])]
    monkeypatch.setattr(LLM, "generate", lambda self, *args, **kwargs: [SimpleNamespace(outputs=outputs)])
    with pytest.raises(RuntimeError, match=r"broke a completion off \(abort\)"):
        backend.sample([Group([5])], SAMPLING)
