"""Rows that share their beginning: the same values and gradients as the rows written out in full."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sternpost.data.batches import positions, predecessors
from sternpost.models.attention import NAME
from sternpost.models.forward import enable_scoring, keep_rows_apart
from sternpost.models.scores import IGNORE, ScoreRequest

from .architectures import EXACT, PADDED_ONLY, build

CAPPED = "Gemma2"
"""Its attention caps its logits, which torch's kernel does not."""
TREES = st.lists(
    st.tuples(st.integers(0, 9), st.lists(st.integers(0, 7), min_size=1, max_size=4)).map(lambda t: (t[0], *t[1])),
    min_size=1,
    max_size=4,
).filter(lambda trees: sum(map(sum, trees)) > 1)


def draw(lengths: list[tuple[int, ...]]) -> tuple[list[list[int]], list[Tensor]]:
    """For each branch of each row the places of its tokens, what it shares first, and random tokens for all places."""
    rows, start = [], 0
    for shared, *branches in lengths:
        first = start + shared
        for length in branches:
            rows.append([*range(start, start + shared), *range(first, first + length)])
            first += length
        start += shared + sum(branches)
    return rows, torch.randint(3, 64, (start,))


def written_out(model, rows: list[list[int]], tokens: Tensor, own: list[int], weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sum of the log-probabilities of each branch's own tokens, from the model's logits row by row."""
    total = torch.zeros(())
    for row, length in zip(rows, own, strict=True):
        if len(row) < 2 or not length:
            continue
        logits = type(model).forward(model, input_ids=tokens[row][None]).logits[0, :-1]
        logps = logits.log_softmax(-1).gather(1, tokens[row][1:, None])[:, 0]
        total = total + (logps[-length:] * weights[row][1:][-length:]).sum()
    return loss_and_gradient(model, total)


def loss_and_gradient(model, loss: Tensor) -> tuple[Tensor, Tensor]:
    model.zero_grad()
    if loss.requires_grad:
        loss.backward()
    grads = [p.grad.flatten() if p.grad is not None else torch.zeros(p.numel()) for p in model.parameters()]
    return loss.detach(), torch.cat(grads)


def shared(model, lengths: list[tuple[int, ...]], tokens: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The same from one pass over the rows that share their beginning."""
    labels = tokens.clone()
    start = 0
    for first, *branches in lengths:
        labels[start : start + first] = IGNORE
        if not first:  # nothing comes before the first token of a branch
            ends = torch.tensor([0, *branches]).cumsum(0)[:-1]
            labels[[start + int(end) for end, length in zip(ends, branches, strict=True) if length]] = IGNORE
        start += first + sum(branches)
    batch = {"input_ids": tokens[None], "position_ids": positions(lengths), "seq_lengths": lengths}
    logps = model(**batch, score=ScoreRequest(labels[None])).logps[0]
    return loss_and_gradient(model, (logps * weights[1:]).sum())


def assert_same(ours, theirs):
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=2e-5 * float(theirs[1].abs().max()) + 1e-6)


def check(model, lengths: list[tuple[int, ...]]) -> None:
    rows, tokens = draw(lengths)
    own = [length for _, *branches in lengths for length in branches]
    weights = torch.randn(len(tokens))
    assert_same(shared(model, lengths, tokens, weights), written_out(model, rows, tokens, own, weights))


@pytest.mark.parametrize("name", [name for name in EXACT if name != CAPPED])
def test_branches_equal_rows_written_out(name):
    """In every architecture whose rows can be kept apart: value and every gradient."""
    model = build(name)
    enable_scoring(model)
    assert keep_rows_apart(model, branches=True)
    check(model, [(7, 5, 3), (2, 1, 6), (4, 2, 2, 8), (0, 4, 3), (3, 5)])


@settings(max_examples=40, deadline=None)
@given(lengths=TREES, seed=st.integers(0, 99))
def test_any_tree(model_with_windows, lengths, seed):
    """Whatever is shared and however many branches there are; empty ones and sliding windows included."""
    torch.manual_seed(seed)
    check(model_with_windows, lengths)


@pytest.fixture(scope="module")
def model_with_windows():
    model = build("Gemma3Text")
    enable_scoring(model)
    assert keep_rows_apart(model, branches=True)
    return model


@pytest.mark.parametrize("name", [*PADDED_ONLY, CAPPED])
def test_models_that_cannot_branch_are_recognised(name):
    """Where branches would not be exact, `keep_rows_apart` says so and changes nothing."""
    model = build(name)
    before = model.config._attn_implementation
    enable_scoring(model)
    assert not keep_rows_apart(model, branches=True)
    assert model.config._attn_implementation == before


def test_eager_attention_is_replaced_where_that_is_exact():
    """A model loaded with eager attention shares beginnings too, with the values that eager attention gives."""
    model = build("Llama")
    model.set_attn_implementation("eager")
    enable_scoring(model)
    lengths = [(4, 3, 5)]
    rows, tokens = draw(lengths)
    weights = torch.randn(len(tokens))
    expected = written_out(model, rows, tokens, [3, 5], weights)
    assert keep_rows_apart(model, branches=True)
    assert model.config._attn_implementation == NAME
    assert_same(shared(model, lengths, tokens, weights), expected)


def test_recomputed_layers_know_the_branches():
    """With gradient checkpointing too."""
    model = build("Qwen3")
    enable_scoring(model)
    assert keep_rows_apart(model, branches=True)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    check(model, [(5, 3, 4), (2, 6, 1)])


def test_branches_without_their_attention_are_refused():
    """Whoever passes branches to a model that was not made ready for them gets an error, not wrong numbers."""
    model = build("Qwen3")
    enable_scoring(model)
    tokens = torch.arange(3, 9)[None]
    batch = {"input_ids": tokens, "position_ids": positions([(2, 2, 2)]), "seq_lengths": [(2, 2, 2)]}
    with pytest.raises(ValueError, match="rows with branches need the attention"):
        model(**batch, score=ScoreRequest(tokens))


def test_places():
    """Positions go on from what is shared; the last token of that predicts the first of each branch."""
    lengths = [(2, 3, 1), 2, (0, 2, 1)]
    assert positions(lengths).tolist() == [[0, 1, 2, 3, 4, 2, 0, 1, 0, 1, 0]]
    assert predecessors(lengths).tolist() == [0, 0, 1, 2, 3, 1, 6, 6, 8, 8, 10]
