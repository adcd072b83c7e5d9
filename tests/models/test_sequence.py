"""Sequences that share their beginning: the same scores and gradients as each of them by itself."""

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from sternpost.data.batches import RowLengths, positions
from sternpost.models.attention import NAME
from sternpost.models.sequence import enable_sequence_scoring, keep_sequences_apart, last_places
from sternpost.models.sequence_head import scorer_class

from .architectures import EXACT, PADDED_ONLY, SIZES

CAPPED = "Gemma2"
"""Its attention caps its logits, which torch's kernel does not."""
PAD = 0
TREES = st.lists(
    st.tuples(st.integers(0, 9), st.lists(st.integers(0, 7), min_size=1, max_size=3))
    .filter(lambda tree: tree[0] > 0 or 0 not in tree[1])
    .map(lambda tree: (tree[0], *tree[1])),
    min_size=1,
    max_size=4,
)


def build(name: str) -> PreTrainedModel:
    """A float32 model with one label whose weights are large enough that mistakes show."""
    config = getattr(transformers, f"{name}Config")(**SIZES | (EXACT | PADDED_ONLY)[name], num_labels=1)
    kind = scorer_class(config)
    torch.manual_seed(0)
    made = kind.from_config(config) if kind is AutoModelForSequenceClassification else kind(config)
    model = made.float().train()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    enable_sequence_scoring(model)
    return model


def written_out(lengths: RowLengths) -> list[list[int]]:
    """The places of the tokens of each sequence."""
    rows, start = [], 0
    for shared, *branches in lengths:
        first = start + shared
        for length in branches:
            rows.append([*range(start, start + shared), *range(first, first + length)])
            first += length
        start = first
    return rows


def with_gradient(model: PreTrainedModel, rewards: Tensor) -> tuple[Tensor, Tensor]:
    """Rewards, and the gradient of their weighted sum."""
    model.zero_grad()
    (rewards * torch.arange(1, len(rewards) + 1)).sum().backward()
    grads = [p.grad.flatten() if p.grad is not None else torch.zeros(p.numel()) for p in model.parameters()]
    return rewards.detach(), torch.cat(grads)


def check(model: PreTrainedModel, lengths: RowLengths, tokens: Tensor) -> None:
    """All sequences at once, against transformers' own forward for one after the other."""
    batch = {"input_ids": tokens[None], "position_ids": positions(lengths), "seq_lengths": lengths}
    together = with_gradient(model, model(**batch).logits[:, 0])
    alone = [type(model).forward(model, input_ids=tokens[row][None]).logits[0, 0] for row in written_out(lengths)]
    expected = with_gradient(model, torch.stack(alone))
    torch.testing.assert_close(together[0], expected[0], rtol=1e-5, atol=1e-4)
    scale = float(expected[1].abs().max())
    torch.testing.assert_close(together[1], expected[1], rtol=1e-4, atol=2e-5 * scale + 1e-6)


@pytest.mark.parametrize("name", [name for name in EXACT if name != CAPPED])
def test_shared_beginnings_change_nothing(name):
    """In every architecture whose rows can be kept apart: score and every gradient."""
    model = build(name)
    assert keep_sequences_apart(model)
    lengths = [(7, 5, 3), (2, 1, 6), (4, 2, 2, 8), (0, 4, 3), (3, 5), (6, 0, 2)]
    check(model, lengths, torch.randint(1, 64, (sum(map(sum, lengths)),)))


@pytest.fixture(scope="module", params=["Llama", "Qwen2", "Qwen3", "Gemma3Text", "Qwen3Moe"])
def ready_model(request):
    model = build(request.param)
    assert keep_sequences_apart(model)
    return model


@settings(max_examples=15, deadline=None)
@given(lengths=TREES, seed=st.integers(0, 99), pads=st.floats(0, 0.6))
def test_any_sequences(ready_model, lengths, seed, pads):
    """Whatever is shared, however many sequences there are, and wherever pad tokens stand, also at their ends."""
    torch.manual_seed(seed)
    tokens = torch.randint(1, 64, (sum(map(sum, lengths)),))
    tokens[torch.rand(len(tokens)) < pads] = PAD
    check(ready_model, lengths, tokens)


def test_recomputed_layers_know_the_branches():
    """With gradient checkpointing too."""
    model = build("Qwen3")
    assert keep_sequences_apart(model)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    check(model, [(5, 3, 4), (2, 6, 1)], torch.randint(1, 64, (21,)))


@pytest.mark.parametrize("name", [CAPPED, "Bloom", "GptOss", "Mamba"])
def test_models_that_cannot_share_are_recognised(name):
    """Where sharing would not be exact, `keep_sequences_apart` says so and changes nothing."""
    model = build(name)
    before = model.config._attn_implementation
    assert not keep_sequences_apart(model)
    assert model.config._attn_implementation == before


def test_models_that_read_elsewhere_are_recognised():
    """A model whose score is not that of the last token, and one whose head we do not know."""
    config = transformers.Qwen3Config(**SIZES, head_dim=8, num_labels=1)

    class FirstToken(transformers.Qwen3ForSequenceClassification):
        def forward(self, input_ids, **kwargs):
            hidden = self.model(input_ids).last_hidden_state[:, 0]
            return transformers.modeling_outputs.SequenceClassifierOutputWithPast(logits=self.score(hidden))

    first = FirstToken(config)
    enable_sequence_scoring(first)
    assert not keep_sequences_apart(first)
    encoder = transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
        )
    )
    enable_sequence_scoring(encoder)
    assert not keep_sequences_apart(encoder)


def test_padded_batches_go_through_the_model_itself():
    """Without `seq_lengths` the model is what it was: same scores for a padded batch, `loss` for labels."""
    model = build("Llama")
    tokens = torch.tensor([[5, 6, 7, PAD], [8, 9, 10, 11]])
    batch = {"input_ids": tokens, "attention_mask": (tokens != PAD).long()}
    torch.testing.assert_close(model(**batch).logits, type(model).forward(model, **batch).logits, rtol=0, atol=0)
    assert model(**batch, labels=torch.tensor([0.1, 0.2])).loss is not None
    assert model.config._attn_implementation != NAME


def test_virtual_tokens_leave_the_end_where_it_is():
    """Prompt tuning embeds the tokens itself: the score is still read where the tokens end, not where the row does."""
    from peft import PromptTuningConfig, get_peft_model

    model = build("Qwen3")
    wrapped = get_peft_model(model, PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)).eval()
    tokens = torch.tensor([[5, 6, 7, PAD, PAD], [8, 9, 10, 11, 12]])
    both = wrapped(input_ids=tokens, attention_mask=(tokens != PAD).long()).logits
    short = wrapped(input_ids=tokens[:1, :3], attention_mask=torch.ones(1, 3, dtype=torch.long)).logits
    torch.testing.assert_close(both[:1], short)


def test_places_of_scores():
    """Each sequence is scored at its last real token: of its own, else of what it shares, else its first one."""
    lengths = [(2, 2, 1), 2, (0, 2, 1), (1, 0, 1)]
    real = torch.tensor([1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1], dtype=torch.bool)
    assert last_places(real, lengths).tolist() == [2, 1, 6, 7, 9, 10, 11]
