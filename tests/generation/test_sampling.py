"""Tokens are drawn with the probabilities that the options leave, and no others are ever drawn."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.generation.backend import Sampling
from sternpost.generation.sampling import allowed, draw


def logits(seed: int, vocabulary: int = 12) -> torch.Tensor:
    return torch.randn(1, vocabulary, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.5}, {"top_k": 4}, {"top_p": 0.7}, {"min_p": 0.2}, {"top_k": 6, "top_p": 0.8}]
)
def test_frequencies_are_the_probabilities(options):
    """Chi-square over many draws."""
    sampling = Sampling(max_tokens=1, **options)
    draws, flat = 40_000, logits(5) / 3
    probs = allowed((flat / sampling.temperature).softmax(-1), sampling)[0]
    probs = probs / probs.sum()
    tokens, _ = draw(flat.expand(draws, -1), sampling, torch.Generator().manual_seed(0))
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
    tokens, logps = draw(logits(seed).expand(50, -1), sampling, torch.Generator().manual_seed(seed))
    assert (left[tokens] > 0).all()
    torch.testing.assert_close(logps, logits(seed).log_softmax(-1)[0, tokens])


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
