"""A real engine beside the policy draws with its weights."""

import pytest
import torch

from sternpost.generation.backend import Group, Sampling
from sternpost.generation.vllm_colocate import VLLMColocate
from vllm_tests.policy import (
    PROMPTS,
    change,
    check_distribution,
    check_greedy,
    check_sampled,
    check_truncated,
    tiny_policy,
    tokenizer,
)


@pytest.fixture(scope="module")
def backend() -> VLLMColocate:
    return VLLMColocate(tiny_policy(), tokenizer(), max_length=1024)


def test_it_draws_what_transformers_would(backend):
    """Greedy tokens, log-probabilities, the distribution of samples, stop tokens and bounds."""
    model = tiny_policy(0)
    backend.sync(model)
    check_greedy(backend, model)
    check_sampled(backend, model)
    check_distribution(backend, model)
    check_truncated(backend, model)


def test_each_update_is_complete(backend):
    """The head that is the embedding too. Equal to transformers, not only other."""
    model = tiny_policy(1)
    for _ in range(3):
        backend.sync(model)
        check_greedy(backend, model)
        change(model)


def test_the_process_goes_on_as_before(backend):
    """Drawing takes nothing from the random numbers of training, and threads can be set."""
    backend.sync(tiny_policy(2))
    before = torch.get_rng_state()
    backend.sample([Group(prompt, 2) for prompt in PROMPTS], Sampling(max_tokens=4))
    assert torch.equal(torch.get_rng_state(), before)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    assert torch.get_num_threads() == threads + 1
    torch.set_num_threads(threads)
