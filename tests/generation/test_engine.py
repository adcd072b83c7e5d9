"""The in-process engine draws what the model says, however completions share batches and slots."""

import dataclasses
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, OPTConfig, OPTForCausalLM

from sternpost.generation import cache
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


@pytest.mark.parametrize("name", [*EXACT, "GptOss"])
@pytest.mark.parametrize("slots", [1, 3, 64])
def test_greedy_equals_generate(name, slots):
    """Token for token, in every architecture, with fewer slots than completions too."""
    model = build(name).eval()
    groups = [Group(prompt, 2) for prompt in PROMPTS]
    found = InProcessEngine(model, slots).sample(groups, Sampling(max_tokens=12, temperature=0))
    for prompt, completions in zip(PROMPTS, found, strict=True):
        expected = greedy(model, prompt, 12)
        assert [completion.ids for completion in completions] == [expected, expected]


def test_scores_with_a_cap():
    """Models that cap the scores of their attention are capped here too."""
    model = build("Gemma2").eval()
    capped = [layer.self_attn for layer in model.model.layers]
    for attention in capped:
        attention.attn_logit_softcapping = 0.05
    ((found,),) = InProcessEngine(model).sample([Group(PROMPTS[1])], Sampling(max_tokens=12))
    assert found.logps == pytest.approx(scored(model, PROMPTS[1], found.ids), abs=2e-4)
    for attention in capped:
        attention.attn_logit_softcapping = None
    assert found.logps != pytest.approx(scored(model, PROMPTS[1], found.ids), abs=2e-3)


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
    """The same seed draws the same completions, another one others; who shares a batch with whom changes nothing."""
    model = build("Llama")
    groups = [Group(prompt, 3) for prompt in PROMPTS]
    sampling = Sampling(max_tokens=8, stop=frozenset(range(3, 12)), seed=1)
    first = InProcessEngine(model, slots=64).sample(groups, sampling)
    assert len({len(each.ids) for of in first for each in of}) > 2
    for slots in (1, 4):
        again = InProcessEngine(model, slots).sample(groups, sampling)
        assert [[each.ids for each in of] for of in again] == [[each.ids for each in of] for of in first]
    other = InProcessEngine(model).sample(groups, dataclasses.replace(sampling, seed=2))
    assert [[each.ids for each in of] for of in other] != [[each.ids for each in of] for of in first]


@pytest.mark.parametrize(
    "options", [{"temperature": 1.5}, {"top_k": 5, "top_p": 0.8, "min_p": 0.1}, {"repetition_penalty": 1.5}]
)
def test_frequencies_are_the_probabilities(options):
    """Pairs of tokens come as often as transformers' own processors say they should: chi-square over many draws."""
    model, prompt = build("Qwen2").eval(), [5, 9, 3]
    sampling = Sampling(max_tokens=2, **options)
    draws = 6000
    (found,) = InProcessEngine(model, slots=1000).sample([Group(prompt, draws)], sampling)
    config = GenerationConfig(do_sample=True, **{"top_k": 0} | options)
    probs = next_probs(model, [prompt], config)[0]
    pairs = torch.stack([probs[token] * row for token, row in enumerate(after_each(model, prompt, config))])
    counts = torch.zeros_like(pairs)
    for completion in found:
        counts[*completion.ids] += 1
    assert counts[pairs == 0].sum() == 0
    often = pairs * draws >= 5  # below, the statistic is not distributed as chi-square; the rest is one class
    expected = torch.cat([pairs[often], pairs[~often].sum()[None]]) * draws
    seen = torch.cat([counts[often], counts[~often].sum()[None]])
    expected, seen = expected[expected > 0], seen[expected > 0]
    freedom = len(expected) - 1
    assert freedom > 5
    assert ((seen - expected).square() / expected).sum() < freedom + 4 * (2 * freedom) ** 0.5


def next_probs(model, rows: list[list[int]], config: GenerationConfig) -> torch.Tensor:
    """What transformers would draw the next token from."""
    ids = torch.tensor(rows)
    with torch.no_grad():
        logits = model(input_ids=ids).logits[:, -1]
    processors = model._get_logits_processor(config, ids.size(1))
    return processors(ids, logits).double().softmax(-1)


def after_each(model, prompt: list[int], config: GenerationConfig) -> torch.Tensor:
    return next_probs(model, [[*prompt, token] for token in range(model.config.vocab_size)], config)


def test_groups_with_limits_of_their_own():
    """A group ends where it says, the others where the sampling says."""
    model = build("Llama").eval()
    groups = [Group([4], 2, max_tokens=3), Group([5, 6], 2), Group([7], 1, max_tokens=99)]
    found = InProcessEngine(model, slots=2).sample(groups, Sampling(max_tokens=7, temperature=0))
    assert [[len(each.ids) for each in of] for of in found] == [[3, 3], [7, 7], [7]]
    assert found[0][0].ids == greedy(model, [4], 3)


def test_memory_grows(monkeypatch):
    """Completions longer than there is memory for at first are the same, and so are prompts beyond the first."""
    model = build("Qwen3").eval()
    groups = [Group(prompt, 2) for prompt in PROMPTS]
    sampling = Sampling(max_tokens=30, stop=frozenset(range(3, 9)), seed=5)
    whole = InProcessEngine(model).sample(groups, sampling)
    assert max(len(each.ids) for of in whole for each in of) > 16
    monkeypatch.setattr(cache, "FIRST_PLACES", 2)
    grown = InProcessEngine(model).sample(groups, sampling)
    assert [[each.ids for each in of] for of in grown] == [[each.ids for each in of] for of in whole]


def test_prompts_are_kept_once(monkeypatch):
    """Memory for the prompts of a group does not grow with the group, and completions get no more than they need."""
    kept = []
    monkeypatch.setattr(cache.SlotCache, "keep", lambda self, slots: kept.append([memory(self)]) or KEEP(self, slots))
    model = build("Llama").eval()
    for count in (2, 16):
        InProcessEngine(model).sample([Group([5] * 40, count)], Sampling(max_tokens=3))
    (few,), (many,) = kept
    assert few[0] == many[0] == 40
    assert few[1] == 2 * 3
    assert many[1] == 16 * 3


KEEP = cache.SlotCache.keep


def memory(slots: cache.SlotCache) -> tuple[int, int]:
    """Tokens that there is memory for in a layer, of prompts and of completions."""
    layer = slots.layers[0]
    return tuple(rows.keys.size(0) * rows.keys.size(2) for rows in (layer.prompts, layer.slots))


def test_adapters_draw():
    """Completions come from the model with its adapter, not from the model below it."""
    from peft import LoraConfig, get_peft_model

    model = build("Llama").eval()
    plain = greedy(model, PROMPTS[0], 8)
    adapted = get_peft_model(model, LoraConfig(target_modules="all-linear", init_lora_weights=False, r=4)).eval()
    engine = InProcessEngine(adapted.get_base_model())
    engine.sync(adapted)
    ((found,),) = engine.sample([Group(PROMPTS[0])], Sampling(max_tokens=8, temperature=0))
    assert found.ids == greedy(adapted, PROMPTS[0], 8) != plain


@pytest.mark.parametrize("frozen", [False, True])
def test_autocast_casts_weights_once(frozen):
    """Trained in bfloat16, a policy is sampled in bfloat16: log-probabilities as in training, weights cast only once,
    frozen ones too, which stay frozen."""
    model = build("Llama").eval().requires_grad_(not frozen)
    engine = InProcessEngine(model, autocast=torch.bfloat16)
    with CountCasts(model) as casts:
        ((found,),) = engine.sample([Group(PROMPTS[1])], Sampling(max_tokens=12))
    assert max(casts.of.values()) == 1
    assert len(casts.of) == sum(isinstance(module, torch.nn.Linear) for module in model.modules())
    with torch.autocast("cpu", torch.bfloat16):
        expected = scored(model, PROMPTS[1], found.ids)
    assert found.logps == pytest.approx(expected, abs=0.05)
    assert found.logps != pytest.approx(scored(model, PROMPTS[1], found.ids), abs=1e-4)
    assert all(weight.requires_grad != frozen for weight in model.parameters())


class CountCasts(TorchDispatchMode):
    """Counts how often each weight of a model is copied to another dtype."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.weights = {weight.data_ptr() for weight in model.parameters()}
        self.of: Counter[int] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default and args[0].data_ptr() in self.weights:
            self.of[args[0].data_ptr()] += 1
        return func(*args, **kwargs or {})


def test_models_with_other_states_are_refused():
    """State spaces keep no keys and values."""
    with pytest.raises(ValueError, match="cannot be run with slots"):
        InProcessEngine(build(next(name for name in PADDED_ONLY if name == "Mamba")))


def test_empty_prompts_are_refused():
    """There is nothing to continue."""
    with pytest.raises(ValueError, match="prompt 1 has no tokens"):
        InProcessEngine(build("Llama")).sample([Group([4]), Group([])], Sampling(max_tokens=2))


def test_unknown_options_are_refused():
    """What vLLM knows and this engine does not is not dropped silently."""
    with pytest.raises(ValueError, match="does not know `presence_penalty`"):
        InProcessEngine(build("Llama")).sample([Group([4])], Sampling(max_tokens=2, extra={"presence_penalty": 1}))


def test_broken_weights_are_noticed():
    """Logits that are not numbers end the run with a reason."""
    model = build("Llama")
    with torch.no_grad():
        model.lm_head.weight[3] = torch.nan
    with pytest.raises(FloatingPointError, match="not numbers"):
        InProcessEngine(model).sample([Group([4], 3)], Sampling(max_tokens=2))


def test_the_model_is_left_as_it_was():
    """A model in training goes on training, with its own attention."""
    model = build("Llama").train()
    model.set_attn_implementation("eager")
    InProcessEngine(model).sample([Group([4])], Sampling(max_tokens=2))
    assert model.training
    assert model.config._attn_implementation == "eager"


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


@pytest.mark.parametrize("kind", ["GPT2", "OPT"])
def test_no_more_tokens_than_learned_positions(kind):
    """A model that has learned its positions has no others; what would go beyond is refused at once."""
    torch.manual_seed(0)
    if kind == "GPT2":
        model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=16, n_embd=16, n_layer=1, n_head=2))
    else:
        sizes = {"hidden_size": 16, "ffn_dim": 16, "word_embed_proj_dim": 16, "max_position_embeddings": 16}
        model = OPTForCausalLM(OPTConfig(vocab_size=64, num_hidden_layers=1, num_attention_heads=2, **sizes))
    engine = InProcessEngine(model)
    ((found,),) = engine.sample([Group([5, 6, 7])], Sampling(max_tokens=13))
    assert len(found.ids) == 13
    message = r"prompt 1 has 3 tokens and its completion may have 14, but \w+ has learned 16 positions"
    with pytest.raises(ValueError, match=message):
        engine.sample([Group([5, 6]), Group([5, 6, 7])], Sampling(max_tokens=14))


def test_rotations_have_no_last_position():
    """A model that computes its positions may go beyond those that it was trained on."""
    model = build("Llama")
    model.config.max_position_embeddings = 8
    ((found,),) = InProcessEngine(model).sample([Group(PROMPTS[0])], Sampling(max_tokens=12))
    assert len(found.ids) == 12
