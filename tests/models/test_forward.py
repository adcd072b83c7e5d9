"""Scoring through a model: the same values and gradients as its own logits give, in every layout and architecture."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sternpost.models.attention import NAME
from sternpost.models.forward import enable_scoring, keep_rows_apart, score_with_logits
from sternpost.models.scores import IGNORE, ScoreRequest

from .architectures import EXACT, PADDED_ONLY, build


def draw_rows(lengths: list[int], masked: float = 0.3) -> list[tuple[Tensor, Tensor]]:
    """Token ids and labels of rows of these lengths; some labels are masked, the first always is."""
    rows = []
    for length in lengths:
        ids = torch.randint(3, 64, (length,))
        labels = ids.masked_fill(torch.rand(length) < masked, IGNORE)
        labels[0] = IGNORE
        rows.append((ids, labels))
    return rows


def padded(rows: list[tuple[Tensor, Tensor]]) -> tuple[dict, Tensor]:
    ids, labels = zip(*rows, strict=True)
    mask = [torch.ones(len(row), dtype=torch.long) for row in ids]
    batch = {"input_ids": ids, "attention_mask": mask}
    pad = torch.nn.utils.rnn.pad_sequence
    return {name: pad(value, batch_first=True) for name, value in batch.items()}, pad(
        labels, batch_first=True, padding_value=IGNORE
    )


def end_to_end(rows: list[tuple[Tensor, Tensor]]) -> tuple[dict, Tensor]:
    ids, labels = zip(*rows, strict=True)
    lengths = [len(row) for row in ids]
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    return {"input_ids": torch.cat(ids)[None], "position_ids": positions, "seq_lengths": lengths}, torch.cat(labels)[
        None
    ]


def gradients(model) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def loss_and_gradient(model, loss: Tensor) -> tuple[Tensor, Tensor]:
    model.zero_grad()
    loss.backward()
    return loss.detach(), gradients(model)


def reference(model, rows) -> tuple[Tensor, Tensor]:
    """Sum of cross entropies from the model's own logits, row by row: no batch, no padding, none of our code."""
    total = torch.zeros(())
    for ids, labels in rows:
        logits = type(model).forward(model, input_ids=ids[None]).logits[0, :-1]
        total = total + F.cross_entropy(logits, labels[1:], reduction="sum", ignore_index=IGNORE)
    return loss_and_gradient(model, total)


def assert_same(ours, theirs):
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=1e-4 * float(theirs[1].abs().max()))


@pytest.mark.parametrize("name", EXACT)
def test_layouts_equal_single_rows(name):
    """Padded and end to end, the scores equal those of each row by itself: loss and every gradient."""
    model = build(name)
    enable_scoring(model)
    rows = draw_rows([7, 3, 9, 2, 5])
    expected = reference(model, rows)
    request = lambda labels: ScoreRequest(labels, lambda logps: -logps)  # noqa: E731
    batch, labels = padded(rows)
    assert_same(loss_and_gradient(model, model(**batch, score=request(labels)).loss), expected)
    assert keep_rows_apart(model)
    batch, labels = end_to_end(rows)
    assert_same(loss_and_gradient(model, model(**batch, score=request(labels)).loss), expected)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(2, 12), min_size=1, max_size=6),
    masked=st.sampled_from([0.0, 0.5, 0.95]),
    seed=st.integers(0, 99),
)
def test_rows_never_see_one_another(model_with_windows, lengths, masked, seed):
    """Whatever the lengths, rows laid end to end score as each row does by itself; sliding windows included."""
    torch.manual_seed(seed)
    rows = draw_rows(lengths, masked)
    batch, labels = end_to_end(rows)
    together = loss_and_gradient(
        model_with_windows, model_with_windows(**batch, score=ScoreRequest(labels, lambda logps: -logps)).loss
    )
    assert_same(together, reference(model_with_windows, rows))


@pytest.fixture(scope="module")
def model_with_windows():
    model = build("Gemma3Text")
    enable_scoring(model)
    assert keep_rows_apart(model)
    return model


@pytest.mark.parametrize("name", PADDED_ONLY)
def test_models_that_would_mix_rows_are_recognised(name):
    """Where rows would see one another, `keep_rows_apart` says so and changes nothing; padded scores are right."""
    model = build(name)
    before = model.config._attn_implementation
    enable_scoring(model)
    assert not keep_rows_apart(model)
    assert model.config._attn_implementation == before
    rows = draw_rows([6, 6])
    batch, labels = padded(rows)
    ours = loss_and_gradient(model, model(**batch, score=ScoreRequest(labels, lambda logps: -logps)).loss)
    theirs = type(model).forward(model, **batch).logits[:, :-1].flatten(0, 1)
    expected = F.cross_entropy(theirs, labels[:, 1:].flatten(), reduction="sum", ignore_index=IGNORE)
    assert_same(ours, loss_and_gradient(model, expected))


def test_gradient_checkpointing_keeps_rows_apart():
    """Layers that are recomputed in the backward pass still know where rows end."""
    model = build("Llama")
    enable_scoring(model)
    assert keep_rows_apart(model)
    rows = draw_rows([4, 6, 3])
    batch, labels = end_to_end(rows)
    expected = reference(model, rows)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    assert_same(loss_and_gradient(model, model(**batch, score=ScoreRequest(labels, lambda x: -x)).loss), expected)


def test_generation_is_unchanged():
    """A model that was made ready for scoring generates what it generated before."""
    model = build("Qwen3").eval()
    prompt = torch.randint(3, 64, (2, 5))
    before = model.generate(prompt, max_new_tokens=8, do_sample=False)
    enable_scoring(model)
    assert keep_rows_apart(model)
    assert torch.equal(model.generate(prompt, max_new_tokens=8, do_sample=False), before)


def test_copies_score_for_themselves():
    """A deep copy of a scoring model scores with its own weights."""
    model = build("Llama")
    enable_scoring(model)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    ids = torch.randint(3, 64, (1, 6))
    uniform = -torch.log(torch.tensor(64.0))
    torch.testing.assert_close(model(input_ids=ids, score=ScoreRequest(ids)).logps, uniform.expand(1, 5))
    assert (twin(input_ids=ids, score=ScoreRequest(ids)).logps - uniform).abs().max() > 0.1


def test_unknown_head_is_refused():
    """A model that does something else with its logits is noticed before training, and told what to do."""
    model = build("Llama")
    own = type(model).forward

    class Odd(type(model)):
        def forward(self, *args, **kwargs):
            output = own(self, *args, **kwargs)
            output.logits = output.logits * 2
            return output

    model.__class__ = Odd
    with pytest.raises(ValueError, match="score_with_logits"):
        enable_scoring(model)
    ids = torch.randint(3, 64, (1, 6))
    scores = score_with_logits(model, {"input_ids": ids}, ScoreRequest(ids))
    expected = model(input_ids=ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
    torch.testing.assert_close(scores.logps[0], expected)


def test_layout_that_is_lost_on_the_way_is_an_error():
    """Attention that does not hear of the rows raises instead of letting them see one another."""
    model = build("Llama")
    enable_scoring(model)
    assert keep_rows_apart(model)
    attention = model.model.layers[0].self_attn
    forward = attention.forward
    attention.forward = lambda *args, row_lengths=None, **kwargs: forward(*args, **kwargs)
    batch, labels = end_to_end(draw_rows([3, 4]))
    assert model.config._attn_implementation == NAME
    with pytest.raises(RuntimeError, match="padding_free=False"):
        model(**batch, score=ScoreRequest(labels))


@pytest.mark.parametrize("target", ["all-linear", ["q_proj", "lm_head"]], ids=["body", "head"])
def test_adapters_score_as_their_logits(target):
    """A LoRA model scores like its own logits, also with an adapter on the head."""
    peft = pytest.importorskip("peft")
    model = build("Qwen2")
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=target, init_lora_weights=False, r=4)
    adapted = peft.get_peft_model(model, config)
    enable_scoring(model)
    batch, labels = padded(draw_rows([6, 4]))
    expected = F.cross_entropy(
        adapted(**batch).logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum", ignore_index=IGNORE
    )
    expected = loss_and_gradient(adapted, expected)
    ours = loss_and_gradient(adapted, adapted(**batch, score=ScoreRequest(labels, lambda logps: -logps)).loss)
    assert_same(ours, expected)
