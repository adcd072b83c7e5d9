"""RLOO's advantages and loss follow the paper, completion by completion."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.grpo.advantages import advantages as grpo_advantages
from sternpost.rloo.loss import TINY, Window, clipped, leave_one_out, shaped, step

REWARDS = st.sampled_from([0.0, 1.0, -0.5, 3.0, math.nan])


@settings(max_examples=80, deadline=None)
@given(group=st.integers(2, 4), groups=st.integers(1, 3), data=st.data(), normalize=st.booleans())
def test_each_is_compared_with_the_others_of_its_prompt(group, groups, data, normalize):
    """The mean leaves the completion itself out, and those without a reward, which are worth nothing."""
    rewards = [data.draw(REWARDS) for _ in range(group * groups)]
    expected = []
    for at, own in enumerate(rewards):
        start = at - at % group
        others = [rewards[i] for i in range(start, start + group) if i != at and not math.isnan(rewards[i])]
        expected.append(math.nan if math.isnan(own) or not others else own - sum(others) / len(others))
    known = [value for value in expected if not math.isnan(value)]
    if normalize and known:
        mean = sum(known) / len(known)
        spread = math.sqrt(sum((value - mean) ** 2 for value in known) / max(len(known) - 1, 1))
        expected = [(value - mean) / (spread + TINY) for value in expected]
    expected = [0.0 if math.isnan(value) else value for value in expected]
    found = leave_one_out(torch.tensor(rewards).double(), group, normalize)
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(reward=st.floats(-100, 100, width=32), group=st.integers(2, 9), normalize=st.booleans())
def test_equal_rewards_teach_nothing(reward, group, normalize):
    """Completions with the same reward have no advantage, not even that of rounding."""
    assert not leave_one_out(torch.full((2 * group,), reward), group, normalize).any()


@settings(max_examples=30, deadline=None)
@given(group=st.integers(2, 5), seed=st.integers(0, 99))
def test_twin_of_unscaled_grpo(group, seed):
    """`r_i - mean of the others` is `G / (G - 1)` times `r_i - mean of all`."""
    torch.manual_seed(seed)
    rewards = torch.randn(group * 3, dtype=torch.float64)
    theirs = grpo_advantages(rewards[:, None], torch.ones(1).double(), group, scale="none")
    torch.testing.assert_close(leave_one_out(rewards, group), theirs * group / (group - 1))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(1, 6))
def test_loss(seed, count):
    """Value and gradient, with ratios inside and outside of the bounds."""
    torch.manual_seed(seed)
    logps = (-torch.rand(count, dtype=torch.float64) * 5).requires_grad_()
    old = logps.detach() + 0.4 * torch.randn(count, dtype=torch.float64)
    advantages = torch.randn(count, dtype=torch.float64)
    options = SimpleNamespace(epsilon=0.2, epsilon_high=0.3)
    expected = []
    for pi, mu, advantage in zip(logps, old, advantages, strict=True):
        ratio = (pi - mu).exp()
        expected.append(-min(ratio * advantage, ratio.clamp(0.8, 1.3) * advantage))
    found = clipped(logps, old, advantages, options)
    torch.testing.assert_close(found, torch.stack(expected))
    (grad,) = torch.autograd.grad(found.sum(), logps, retain_graph=True)
    torch.testing.assert_close(grad, torch.autograd.grad(torch.stack(expected).sum(), logps)[0])


def test_rewards_are_clipped_before_the_divergence_is_taken_off():
    """`clip(r) - beta KL`."""
    found = shaped(torch.tensor([5.0, -5.0, 0.5]), torch.tensor([1.0, 2.0, -1.0]), 0.1, (-1.0, 1.0))
    assert found.tolist() == pytest.approx([0.9, -1.2, 0.6])
    assert shaped(torch.tensor([5.0]), None, 0.1).tolist() == [5.0]


def test_extreme_ratios_stay_finite():
    """A log-ratio of a thousand has no infinite gradient."""
    logps = torch.tensor([1000.0, -1000.0], requires_grad=True)
    loss = clipped(logps, torch.zeros(2), torch.tensor([-1.0, 1.0]), SimpleNamespace(epsilon=0.2, epsilon_high=0.2))
    (grad,) = torch.autograd.grad(loss.sum(), logps)
    assert torch.isfinite(grad).all()
    assert torch.isfinite(loss).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(1, 5), width=st.integers(1, 4))
def test_step(seed, count, width):
    """The mean over the optimizer step's completions, whose ratios are those of all of their learned tokens."""
    torch.manual_seed(seed)
    logps = (-torch.rand(count, width, dtype=torch.float64)).requires_grad_()
    old = logps.detach() + 0.3 * torch.randn(count, width, dtype=torch.float64)
    mask = (torch.rand(count, width) < 0.8).double()
    advantages, entropy = torch.randn(count, dtype=torch.float64), torch.rand(count, width, dtype=torch.float64)
    options = SimpleNamespace(epsilon=0.2, epsilon_high=0.3)
    expected = torch.zeros((), dtype=torch.float64)
    low = high = 0
    for i in range(count):
        ratio = sum((logps[i, t] - old[i, t]) for t in range(width) if mask[i, t])
        ratio = torch.as_tensor(ratio, dtype=torch.float64).exp()
        expected = expected - min(ratio * advantages[i], ratio.clamp(0.8, 1.3) * advantages[i]) / (count + 2)
        low += int(ratio < 0.8 and advantages[i] < 0)
        high += int(ratio > 1.3 and advantages[i] > 0)
    window = Window(torch.tensor(count + 2.0).double())
    found = step(logps, old, old + 0.5, entropy, mask, advantages, window, options)
    torch.testing.assert_close(found.loss, expected)
    (grad,) = torch.autograd.grad(found.loss, logps)
    if expected.requires_grad:
        torch.testing.assert_close(grad, torch.autograd.grad(expected, logps)[0])
    assert found.shares["clip_ratio/low_mean"][0] == low
    assert found.shares["clip_ratio/high_mean"][0] == high
    assert found.largest["sampling/sampling_logp_difference/max"] == pytest.approx(0.5 * bool(mask.any()))
