"""The policy of these tests, and what transformers says that it draws."""

import torch
from tests import tiny
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from sternpost.generation.backend import Backend, Completion, Group, Sampling

PROMPTS = [[5, 9, 3], [7, 7, 8, 20, 31, 6, 11, 40], [4], [33, 12]]
SIZES = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 32, "max_position_embeddings": 1024}
"""vLLM has kernels for heads of 32 and more."""


def tokenizer() -> PreTrainedTokenizerFast:
    return tiny.tokenizer()


def tiny_policy(seed: int = 0, **config) -> Qwen3ForCausalLM:
    """Its head is its embedding; its weights are large enough that mistakes show."""
    model = tiny.model(seed, **SIZES | config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def change(model: torch.nn.Module) -> None:
    """A step, as it were."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


def greedy(model: Qwen3ForCausalLM, prompt: list[int], length: int) -> list[int]:
    out = model.generate(torch.tensor([prompt]), max_new_tokens=length, do_sample=False, eos_token_id=None)
    return out[0, len(prompt) :].tolist()


@torch.no_grad()
def scored(model: torch.nn.Module, prompt: list[int], ids: list[int], temperature: float = 1.0) -> list[float]:
    """Log-probabilities of tokens after a prompt, from one ordinary forward pass."""
    logits = model(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1] / temperature
    return logits.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0].tolist()


def farthest(model: torch.nn.Module, prompt: list[int], completion: Completion, temperature: float = 1.0) -> float:
    """Largest difference of a log-probability from that of a scoring pass."""
    own = scored(model, prompt, completion.ids, temperature)
    return max(abs(one - other) for one, other in zip(own, completion.logps, strict=True))


def check_greedy(backend: Backend, model: Qwen3ForCausalLM) -> None:
    """Token for token what transformers generates, with its log-probabilities."""
    found = backend.sample([Group(prompt, 2) for prompt in PROMPTS], Sampling(max_tokens=12, temperature=0))
    for prompt, completions in zip(PROMPTS, found, strict=True):
        assert [each.ids for each in completions] == [greedy(model, prompt, 12)] * 2
        assert farthest(model, prompt, completions[0]) < 1e-4


def check_sampled(backend: Backend, model: Qwen3ForCausalLM) -> None:
    """Log-probabilities are those of a scoring pass; stop tokens end completions; a seed decides."""
    sampling = Sampling(max_tokens=16, temperature=0.7, stop=frozenset(range(60)), seed=3)
    groups = [Group(prompt, 6, 4 if number == 2 else None) for number, prompt in enumerate(PROMPTS)]
    found = backend.sample(groups, sampling)
    lengths = set()
    for number, (prompt, completions) in enumerate(zip(PROMPTS, found, strict=True)):
        assert len(completions) == 6
        assert len({tuple(each.ids) for each in completions}) > 1
        for each in completions:
            lengths.add(len(each.ids))
            assert len(each.ids) <= (4 if number == 2 else 16)
            assert not set(each.ids[:-1]) & sampling.stop
            assert each.finished == (each.ids[-1] in sampling.stop)
            assert farthest(model, prompt, each, 0.7) < 1e-4
    assert len(lengths) > 2
    assert backend.sample(groups, sampling) == found


def check_distribution(backend: Backend, model: torch.nn.Module) -> None:
    """Chi-square of first tokens over many draws at a temperature; tokens that are expected too rarely are one cell."""
    prompt, count, temperature = PROMPTS[0], 4096, 0.8
    with torch.no_grad():
        probs = (model(input_ids=torch.tensor([prompt])).logits[0, -1] / temperature).softmax(-1).double()
    (found,) = backend.sample([Group(prompt, count)], Sampling(max_tokens=1, temperature=temperature, seed=5))
    drawn = torch.bincount(torch.tensor([each.ids[0] for each in found]), minlength=len(probs)).double()
    often = probs * count >= 5
    expected = torch.cat([probs[often], probs[~often].sum()[None]]) * count
    seen = torch.cat([drawn[often], drawn[~often].sum()[None]])
    statistic, freedom = float(((seen - expected) ** 2 / expected).sum()), len(expected) - 1
    assert freedom > 10
    # Wilson and Hilferty: the cube root of a chi-square over its freedom is nearly normal.
    spread = 2 / (9 * freedom)
    deviations = ((statistic / freedom) ** (1 / 3) - (1 - spread)) / spread**0.5
    assert deviations < 4


def check_truncated(backend: Backend, model: torch.nn.Module) -> None:
    """With `top_k`, log-probabilities are of what was drawn from: the tokens that were left add up to one."""
    prompt, temperature = PROMPTS[1], 0.9
    sampling = Sampling(max_tokens=1, temperature=temperature, top_k=4, seed=1)
    (found,) = backend.sample([Group(prompt, 200)], sampling)
    with torch.no_grad():
        best = (model(input_ids=torch.tensor([prompt])).logits[0, -1] / temperature).topk(4)
    logps = dict(zip(best.indices.tolist(), best.values.log_softmax(-1).tolist(), strict=True))
    assert {each.ids[0] for each in found} == set(logps)
    assert all(abs(each.logps[0] - logps[each.ids[0]]) < 1e-4 for each in found)
