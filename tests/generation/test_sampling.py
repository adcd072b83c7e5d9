"""Tokens are drawn with the probabilities that the options leave, and no others are ever drawn."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LogitsProcessorList, MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from sternpost.generation import sampling as module
from sternpost.generation.backend import Sampling
from sternpost.generation.sampling import allowed, draw, pick


def logits(seed: int, vocabulary: int = 12) -> torch.Tensor:
    return torch.randn(1, vocabulary, generator=torch.Generator().manual_seed(seed)) * 2


def heights(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.5}, {"top_k": 4}, {"top_p": 0.7}, {"min_p": 0.2}, {"top_k": 6, "top_p": 0.8}]
)
@pytest.mark.parametrize("block", [256, 5])
def test_frequencies_are_the_probabilities(monkeypatch, options, block):
    """Chi-square over many draws, with the tokens in one block and in several."""
    monkeypatch.setattr(module, "BLOCK", block)
    sampling = Sampling(max_tokens=1, **options)
    draws, flat = 40_000, logits(5) / 3
    probs = allowed((flat / sampling.temperature).softmax(-1), sampling)[0]
    probs = probs / probs.sum()
    tokens, _ = draw(flat.expand(draws, -1), sampling, heights(draws))
    counts = torch.bincount(tokens, minlength=len(probs)).double()
    possible = probs > 0
    assert counts[~possible].sum() == 0
    expected = probs[possible].double() * draws
    chi = ((counts[possible] - expected).square() / expected).sum()
    freedom = int(possible.sum()) - 1
    assert freedom > 1
    assert chi < freedom + 4 * (2 * freedom) ** 0.5  # four standard deviations


@settings(max_examples=60)
@given(seed=st.integers(0, 999), top_k=st.integers(0, 12), top_p=st.floats(0.01, 1.0), min_p=st.floats(0.0, 0.99))
def test_what_is_left_out_is_never_drawn(seed, top_k, top_p, min_p):
    """The likeliest token always stays; the drawn one is among those that are left."""
    sampling = Sampling(max_tokens=1, top_k=top_k, top_p=top_p, min_p=min_p)
    left = allowed(logits(seed).softmax(-1), sampling)[0]
    assert left[logits(seed).argmax()] > 0
    if top_k:
        assert (left > 0).sum() <= top_k
    tokens, logps = draw(logits(seed).expand(50, -1), sampling, heights(50, seed))
    assert (left[tokens] > 0).all()
    torch.testing.assert_close(logps, logits(seed).log_softmax(-1)[0, tokens])


@settings(max_examples=60)
@given(seed=st.integers(0, 999), top_k=st.integers(1, 40), top_p=st.floats(0.05, 0.99), min_p=st.floats(0.01, 0.99))
def test_the_same_tokens_are_left_as_in_transformers(seed, top_k, top_p, min_p):
    """All three options together: their order matters."""
    scores = logits(seed, 40)
    warpers = LogitsProcessorList([TopKLogitsWarper(top_k), TopPLogitsWarper(top_p), MinPLogitsWarper(min_p)])
    theirs = warpers(None, scores.clone()) > -torch.inf
    ours = allowed(scores.softmax(-1), Sampling(max_tokens=1, top_k=top_k, top_p=top_p, min_p=min_p)) > 0
    assert ours.tolist() == theirs.tolist()


@settings(max_examples=100)
@given(seed=st.integers(0, 999), vocabulary=st.integers(1, 70), block=st.integers(1, 80), sparse=st.booleans())
def test_blocks_find_the_token_that_adding_up_all_finds(seed, vocabulary, block, sparse):
    """Also at both ends, where blocks are empty, and where the last one is not full."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(40, vocabulary, generator=generator)
    if sparse:
        weights = weights * (torch.rand(40, vocabulary, generator=generator) < 0.1)
        weights[:, seed % vocabulary] += 0.5
    at = torch.cat([torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64), heights(38, seed)])
    ladder = weights.double().cumsum(-1)
    naive = (ladder <= at[:, None] * ladder[:, -1:]).sum(-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        found = pick(weights, at)
    assert (weights.gather(1, found[:, None]) > 0).all()
    assert found[1:].tolist() == naive[1:].clamp(max=vocabulary - 1).tolist() or sparse
    near = (ladder.gather(1, found[:, None])[:, 0] - at * ladder[:, -1]).abs()
    assert ((found == naive) | (near < 1e-6)).all()


@pytest.mark.parametrize("top_p", [0.3, 0.9])
def test_large_nuclei(monkeypatch, top_p):
    """A nucleus with more tokens than are put in order at first is found too."""
    probs = torch.cat([logits(1, 300), logits(2, 300)]).softmax(-1)
    whole = allowed(probs, Sampling(max_tokens=1, top_p=top_p))
    assert (whole > 0).sum(-1).min() > 3
    monkeypatch.setattr(module, "LIKELIEST", 3)
    assert torch.equal(allowed(probs, Sampling(max_tokens=1, top_p=top_p)), whole)


def test_top_p_is_the_smallest_set_that_reaches_it():
    """By the definition."""
    probs = torch.tensor([[0.5, 0.3, 0.15, 0.05]])
    assert allowed(probs, Sampling(max_tokens=1, top_p=0.8))[0].tolist() == pytest.approx([0.5, 0.3, 0, 0])
    assert allowed(probs, Sampling(max_tokens=1, top_p=0.81))[0].tolist() == pytest.approx([0.5, 0.3, 0.15, 0])


@pytest.mark.parametrize(
    "options",
    [{"max_tokens": 0}, {"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"top_k": -1}, {"min_p": 2},
     {"repetition_penalty": 0}],
)  # fmt: skip
def test_wrong_options_are_named(options):
    """Each with the range that it must be in."""
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"`{name}="):
        Sampling(**{"max_tokens": 1} | options)
