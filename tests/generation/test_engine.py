"""The in-process engine draws what the model says, however completions share batches and slots."""

import pytest
import torch

from sternpost.generation.backend import Group, Sampling
from sternpost.generation.engine import InProcessEngine
from tests.models.architectures import EXACT, PADDED_ONLY, build

PROMPTS = [[5, 9, 3], [7, 7, 8, 20, 31, 6, 11, 40], [4], [33, 12]]


def greedy(model, prompt: list[int], length: int) -> list[int]:
    out = model.generate(torch.tensor([prompt]), max_new_tokens=length, do_sample=False, eos_token_id=None)
    return out[0, len(prompt) :].tolist()


def scored(model, prompt: list[int], ids: list[int], temperature: float = 1.0) -> list[float]:
    """Log-probabilities of tokens after a prompt, from one ordinary forward pass."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1] / temperature
    return logits.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0].tolist()


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("slots", [1, 3, 64])
def test_greedy_equals_generate(name, slots):
    """Token for token, in every architecture, with fewer slots than completions too."""
    model = build(name).eval()
    groups = [Group(prompt, 2) for prompt in PROMPTS]
    found = InProcessEngine(model, slots).sample(groups, Sampling(max_tokens=12, temperature=0))
    for prompt, completions in zip(PROMPTS, found, strict=True):
        expected = greedy(model, prompt, 12)
        assert [completion.ids for completion in completions] == [expected, expected]


@pytest.mark.parametrize("name", ["Qwen3", "Gemma3Text"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_log_probabilities_are_those_of_a_scoring_pass(name, implementation):
    """What comes with a token is what the model gives it, with stop tokens and slots that are used again."""
    model = build(name).eval()
    model.set_attn_implementation(implementation)
    sampling = Sampling(max_tokens=10, temperature=0.7, stop=frozenset(range(3, 20)), seed=3)
    found = InProcessEngine(model, slots=3).sample([Group(prompt, 5) for prompt in PROMPTS], sampling)
    lengths = set()
    for prompt, completions in zip(PROMPTS, found, strict=True):
        for completion in completions:
            lengths.add(len(completion.ids))
            assert completion.logps == pytest.approx(scored(model, prompt, completion.ids, 0.7), abs=2e-4)
            assert completion.finished == (completion.ids[-1] in sampling.stop)
            assert not set(completion.ids[:-1]) & sampling.stop
    assert len(lengths) > 2  # the test is about sequences that end at different times


def test_a_seed_decides():
    """The same seed draws the same completions, another one others."""
    engine = InProcessEngine(build("Llama"), slots=4)
    groups = [Group(prompt, 3) for prompt in PROMPTS]
    first = engine.sample(groups, Sampling(max_tokens=8, seed=1))
    assert engine.sample(groups, Sampling(max_tokens=8, seed=1)) == first
    assert engine.sample(groups, Sampling(max_tokens=8, seed=2)) != first


def test_models_with_other_states_are_refused():
    """State spaces keep no keys and values."""
    with pytest.raises(ValueError, match="cannot be run with slots"):
        InProcessEngine(build(next(name for name in PADDED_ONLY if name == "Mamba")))


def test_empty_prompts_are_refused():
    """There is nothing to continue."""
    with pytest.raises(ValueError, match="prompt 1 has no tokens"):
        InProcessEngine(build("Llama")).sample([Group([4]), Group([])], Sampling(max_tokens=2))


def test_the_mode_of_the_model_is_left_as_it_was():
    """A model in training goes on training."""
    model = build("Llama").train()
    InProcessEngine(model).sample([Group([4])], Sampling(max_tokens=2))
    assert model.training


def test_repetition_is_penalised_as_in_transformers():
    """Greedy with a penalty gives the tokens that generate gives."""
    model = build("Qwen2").eval()
    found = InProcessEngine(model, slots=2).sample(
        [Group(prompt) for prompt in PROMPTS], Sampling(max_tokens=10, temperature=0, repetition_penalty=1.8)
    )
    for prompt, (completion,) in zip(PROMPTS, found, strict=True):
        out = model.generate(
            torch.tensor([prompt]), max_new_tokens=10, do_sample=False, eos_token_id=None, repetition_penalty=1.8
        )
        assert completion.ids == out[0, len(prompt) :].tolist()


def test_a_group_may_have_a_bound_of_its_own():
    """Its completions end there and are not finished; the others and their tokens are as without it."""
    engine = InProcessEngine(build("Llama").eval(), slots=3)
    groups = [Group(prompt, 2) for prompt in PROMPTS]
    sampling = Sampling(max_tokens=8, temperature=0)
    plain = engine.sample(groups, sampling)
    bounded = engine.sample([Group(group.prompt, 2, bound) for group, bound in zip(groups, (3, 99, 1, None))], sampling)
    for bound, one, other in zip((3, 8, 1, 8), bounded, plain, strict=True):
        assert [each.ids for each in one] == [each.ids[:bound] for each in other]
        assert not any(each.finished for each in one)
