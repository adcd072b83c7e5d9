"""One of two processes, each with an engine of its own or with a half of one (see test_colocate.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from accelerate import PartialState

from sternpost.generation.backend import Group, Sampling
from sternpost.generation.vllm_colocate import VLLMColocate
from vllm_tests.policy import PROMPTS, change, farthest, greedy, tiny_policy, tokenizer

if __name__ == "__main__":
    rank = PartialState(cpu=True).process_index
    model = tiny_policy(0)
    backend = VLLMColocate(model, tokenizer(), max_length=1024, tensor_parallel_size=int(sys.argv[1]))
    torch.manual_seed(1)  # so that both change it alike
    change(model)
    backend.sync(model)
    own = PROMPTS[:1] if rank else PROMPTS[1:]
    for prompt, found in zip(own, backend.sample([Group(prompt, 2) for prompt in own], Sampling(12, 0.0)), strict=True):
        assert [each.ids for each in found] == [greedy(model, prompt, 12)] * 2
        assert farthest(model, prompt, found[0]) < 1e-4
    sampling = Sampling(12, 0.7, seed=rank)
    for prompt, found in zip(own, backend.sample([Group(prompt, 3) for prompt in own], sampling), strict=True):
        assert max(farthest(model, prompt, each, 0.7) for each in found) < 1e-4
    print("drawn", rank, flush=True)
