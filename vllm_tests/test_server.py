"""A real server draws with the policy's weights, before and after updates, and through kills."""

from collections.abc import Iterator

import pytest
from peft import LoraConfig, get_peft_model

from sternpost.generation.backend import Group, Sampling
from sternpost.generation.vllm_server import VLLMServer
from vllm_tests.policy import (
    PROMPTS,
    change,
    check_distribution,
    check_greedy,
    check_sampled,
    check_truncated,
    farthest,
    tiny_policy,
    tokenizer,
)
from vllm_tests.server import Served


@pytest.fixture(scope="module")
def backend(served: Served) -> Iterator[VLLMServer]:
    return VLLMServer(served.url, timeout=900)


def test_it_draws_what_transformers_would(backend):
    """Greedy tokens, log-probabilities, the distribution of samples, stop tokens and bounds."""
    model = tiny_policy(0)
    backend.sync(model)
    check_greedy(backend, model)
    check_sampled(backend, model)
    check_distribution(backend, model)
    check_truncated(backend, model)


def test_each_update_is_complete(backend):
    """The head that is the embedding too, where vLLM alone keeps the old one: equal to transformers, not only new."""
    model = tiny_policy(1)
    for _ in range(3):
        backend.sync(model)
        check_greedy(backend, model)
        change(model)


def test_an_adapter(backend):
    """Its merged weights are drawn with, and the policy stays as it is."""
    model = get_peft_model(tiny_policy(2), LoraConfig(r=4, target_modules=["q_proj", "down_proj"]))
    change(model)
    backend.sync(model)
    check_greedy(backend, model.eval())


@pytest.mark.parametrize("victim", ["server", "engine"])
def test_killed_while_it_draws(served, backend, victim):
    """The call returns what it would have: drawn with the current weights, not those that the server started with."""
    model = tiny_policy(3)
    change(model)
    backend.sync(model)
    starts = served.starts
    thread = served.kill_when_busy(served.kill if victim == "server" else served.kill_engine)
    groups = [Group(prompt, 4) for prompt in PROMPTS]
    sampling = Sampling(max_tokens=600, temperature=1.0, seed=7)
    found = backend.sample(groups, sampling)
    thread.join()
    assert served.starts == starts + 1
    for prompt, completions in zip(PROMPTS, found, strict=True):
        assert len(completions) == 4
        for each in completions:
            assert len(each.ids) == 600
            assert farthest(model, prompt, each) < 1e-3
    check_greedy(backend, model)


def test_a_regular_expression(served):
    """Completions match it, and end."""
    model = tiny_policy(4)
    backend = VLLMServer(served.url, timeout=900, regex="(ab|c){2,4}")
    backend.sync(model)
    stop = frozenset({tokenizer().eos_token_id, tokenizer().pad_token_id})
    (found,) = backend.sample([Group(PROMPTS[0], 8)], Sampling(max_tokens=20, stop=stop))
    for each in found:
        assert each.finished
        text = tokenizer().decode(each.ids[:-1])
        assert set(text) <= set("abc")
        assert 2 <= len(text.replace("ab", "c")) <= 4


def test_what_the_server_refuses(backend):
    """Its words reach the user."""
    backend.sync(tiny_policy(0))
    with pytest.raises(RuntimeError, match=r"max_model_len=1024"):
        backend.sample([Group(PROMPTS[0])], Sampling(max_tokens=2000))
