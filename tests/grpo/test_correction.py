"""Corrections for a sampler that is not the policy."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.grpo.correction import correction, entropy_threshold, off_policy_mask, top_entropy_mask


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    mode=st.sampled_from(["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]),
    clip_min=st.sampled_from([None, 0.7]),
)
def test_weights(seed, mode, clip_min):
    """`old/mu` of the token or of the whole sequence, cut to the bounds, or zero outside of them."""
    torch.manual_seed(seed)
    mask = (torch.arange(4) < torch.randint(0, 5, (3, 1))).double()
    old = -torch.rand(3, 4, dtype=torch.float64)
    mu = old + 0.5 * torch.randn(3, 4, dtype=torch.float64)
    found = correction(old.requires_grad_(), mu, mask, mode, clip_max=1.5, clip_min=clip_min).expand(3, 4)
    assert not found.requires_grad
    for i in range(3):
        for t in range(4):
            if not mask[i, t]:
                continue
            places = [s for s in range(4) if mask[i, s]] if mode.startswith("sequence") else [t]
            weight = math.exp(sum((old[i, s] - mu[i, s]).item() for s in places))
            if mode.endswith("truncate"):
                weight = min(max(weight, clip_min or 0.0), 1.5)
            elif weight > 1.5 or (clip_min is not None and weight < clip_min):
                weight = 0.0
            assert found[i, t].item() == pytest.approx(weight)


def test_only_bad_completions_that_became_unlikely_are_left_out():
    """Advantage below zero and a mean gap above the threshold, both."""
    mu = torch.full((4, 2), -1.0)
    logps = torch.tensor([[-3.0, -3.0], [-3.0, -3.0], [-1.1, -1.1], [-3.0, -9.0]])
    mask = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    found = off_policy_mask(logps, mu, mask, torch.tensor([-1.0, 1.0, -1.0, -1.0]), threshold=1.0)
    assert found[:, 0].tolist() == [0.0, 1.0, 1.0, 0.0]


def test_the_least_sure_tokens_are_kept():
    """A fifth of ten tokens are two."""
    entropies = torch.arange(10.0)
    threshold = entropy_threshold(entropies, 0.2)
    kept = top_entropy_mask(entropies[None], torch.ones(1, 10), threshold)
    assert kept[0].nonzero()[:, 0].tolist() == [8, 9]
    assert entropy_threshold(torch.zeros(0), 0.2) == 0


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.floats(0, 12, width=32), min_size=1, max_size=40),
    share=st.floats(0.01, 1) | st.sampled_from([0.1, 0.2, 0.3, 0.7, 0.9, 1.0]),
)
def test_the_threshold_is_a_quantile(values, share):
    """Interpolated like that of `torch.quantile`, up to rounding."""
    found = entropy_threshold(torch.tensor(values), share)
    assert found.shape == ()
    expected = torch.quantile(torch.tensor(values, dtype=torch.float64), 1 - share)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)


def test_the_threshold_of_more_tokens_than_torch_has_quantiles_for():
    """A large micro-batch on many processes has more than 2^24."""
    entropies = (torch.arange(16_778_000, dtype=torch.int32) % 1000).float()
    assert len(entropies) > 2**24
    assert entropy_threshold(entropies, 0.2).item() == pytest.approx(799.2)
