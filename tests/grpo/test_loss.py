"""Each loss equals a naive formula written from its paper, token by token, in value and gradient."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.grpo.loss import LOSSES, Scored, Window, clip_fractions, kl

OPTIONS = dict(
    epsilon=0.2, epsilon_high=0.3, delta=None, importance_sampling_level="token", sapo_temperature_pos=1.0,
    sapo_temperature_neg=1.05, vespo_k_pos=2.0, vespo_lambda_pos=3.0, vespo_k_neg=3.0, vespo_lambda_neg=2.0,
)  # fmt: skip


@st.composite
def problems(draw):
    """Completions of drawn lengths, whose ratios lie inside and outside of every bound."""
    count, width = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    lengths = torch.tensor([draw(st.integers(0, width)) for _ in range(count)])
    mask = (torch.arange(width) < lengths[:, None]).double()
    logps = -torch.rand(count, width, dtype=torch.float64) * 3
    old = logps + torch.randn(count, width, dtype=torch.float64) * draw(st.sampled_from([0.0, 0.1, 0.6]))
    correction = torch.randn(count, width, dtype=torch.float64) * 0.2 if draw(st.booleans()) else None
    advantages = torch.randn(count, dtype=torch.float64) * draw(st.sampled_from([0.5, 2.0]))
    scored = Scored(logps.requires_grad_(), old, mask, advantages, correction)
    options = SimpleNamespace(
        **OPTIONS | {"importance_sampling_level": draw(st.sampled_from(["token", "sequence"])),
                     "delta": draw(st.sampled_from([None, 1.5, 4.0]))}
    )  # fmt: skip
    extra = draw(st.integers(0, 3))
    window = Window(
        sequences=torch.tensor(count + extra).double(), tokens=mask.sum() + 2 * extra, micro_batches=1 + extra,
        max_completion_length=width + 2,
    )  # fmt: skip
    return scored, options, window


def ours(name, scored, options, window):
    objective, average = LOSSES[name]
    loss = (objective(scored, options) * scored.mask * average(scored.mask, window)).sum()
    (grad,) = torch.autograd.grad(loss, scored.logps)
    return loss.item(), grad


def sg(value):
    return value.detach() if isinstance(value, torch.Tensor) else value


def naive(name, scored, o, window):
    """The same with loops over completions and tokens."""
    logps = scored.logps
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(logps)):
        advantage = scored.advantages[i]
        places = [t for t in range(logps.size(1)) if scored.mask[i, t]]
        gaps = {t: logps[i, t] - scored.old_logps[i, t] for t in places}
        if o.importance_sampling_level == "sequence" and places:
            mean = sum(gaps.values()) / len(places)
            used = dict.fromkeys(places, mean)
        else:
            used = gaps
        row = []
        for t in places:
            ratio = used[t].exp()
            if name in ("grpo", "dapo", "bnpo", "dr_grpo", "luspo"):
                first = ratio if o.delta is None else ratio.clamp(max=o.delta)
                row.append(-min(first * advantage, ratio.clamp(1 - o.epsilon, 1 + o.epsilon_high) * advantage))
            elif name == "cispo":
                row.append(-min(sg(ratio), torch.tensor(o.epsilon_high, dtype=torch.float64)) * advantage * logps[i, t])
            elif name == "sapo":
                tau = o.sapo_temperature_pos if advantage > 0 else o.sapo_temperature_neg
                row.append(-(4 / tau) / (1 + (-tau * (ratio - 1)).exp()) * advantage)
            else:
                weight = sum(sg(gaps[s]) for s in places)
                if scored.log_correction is not None:
                    weight = weight + sum(scored.log_correction[i, s] for s in places)
                k, steep = (
                    (o.vespo_k_pos, o.vespo_lambda_pos) if advantage >= 0 else (o.vespo_k_neg, o.vespo_lambda_neg)
                )
                w = weight.exp()
                row.append(-(w**k) * (steep * (1 - w)).exp() * advantage * logps[i, t])
        if not row:
            continue
        if name in ("grpo", "sapo"):
            total = total + sum(row) / len(row) / window.sequences
        elif name in ("dapo", "cispo", "vespo"):
            total = total + sum(row) / window.tokens
        elif name == "bnpo":
            total = total + sum(row) / (scored.mask.sum() * window.micro_batches)
        elif name == "dr_grpo":
            total = total + sum(row) / (window.sequences * window.max_completion_length)
        else:
            total = total + sum(row) / window.sequences
    grad = torch.autograd.grad(total, logps)[0] if total.requires_grad else torch.zeros_like(logps)
    return total.item(), grad


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=40, deadline=None)
@given(problem=problems())
def test_formula(name, problem):
    """Value and gradient, for every mask, level of importance sampling and bound."""
    value, grad = ours(name, *problem)
    expected, expected_grad = naive(name, *problem)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)
    torch.testing.assert_close(grad, expected_grad, rtol=1e-8, atol=1e-11)


@settings(max_examples=30, deadline=None)
@given(problem=problems(), name=st.sampled_from([name for name in LOSSES if name != "bnpo"]), cut=st.integers(1, 3))
def test_micro_batches_add_up(problem, name, cut):
    """The losses of the parts of a window sum to that of the whole. `bnpo` is the one that weighs by micro-batch."""
    scored, options, window = problem
    whole, grad = ours(name, scored, options, window)
    parts = []
    for rows in (slice(0, cut), slice(cut, None)):
        if len(scored.logps[rows]):
            correction = None if scored.log_correction is None else scored.log_correction[rows]
            part = Scored(
                scored.logps[rows], scored.old_logps[rows], scored.mask[rows], scored.advantages[rows], correction
            )
            objective, average = LOSSES[name]
            parts.append((objective(part, options) * part.mask * average(part.mask, window)).sum())
    assert sum(parts).item() == pytest.approx(whole, abs=1e-12)
    torch.testing.assert_close(torch.autograd.grad(sum(parts), scored.logps)[0], grad)


@settings(max_examples=30, deadline=None)
@given(problem=problems())
def test_on_policy_all_clipped_losses_have_the_policy_gradient(problem):
    """With old = pi the gradient of a token is `-A / tokens`, whatever the level or the bounds."""
    scored, options, window = problem
    logps = scored.logps
    on_policy = replace(scored, old_logps=logps.detach())
    _, grad = ours("dapo", on_policy, options, window)
    if options.importance_sampling_level == "token":
        expected = -scored.advantages[:, None] * scored.mask / window.tokens.clamp(min=1)
        torch.testing.assert_close(grad, expected.expand_as(grad))
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize("bias_correction", [False, True])
def test_kl_estimates_the_divergence(bias_correction):
    """Its mean over tokens drawn from old is KL(pi, ref): with the correction always, without it if old = pi."""
    torch.manual_seed(0)
    pi, ref, old = (torch.randn(6, dtype=torch.float64).mul(0.7).log_softmax(-1) for _ in range(3))
    if not bias_correction:
        old = pi
    estimate = kl(pi, ref, old if bias_correction else None)
    assert (old.exp() * estimate).sum().item() == pytest.approx((pi.exp() * (pi - ref)).sum().item(), rel=1e-9)


def test_kl_gradient_is_that_of_the_divergence():
    """With the correction the expected gradient is right too, which without it is not so."""
    torch.manual_seed(1)
    logits, ref, old = (torch.randn(5, dtype=torch.float64) for _ in range(3))
    ref, old = ref.log_softmax(-1), old.log_softmax(-1)
    logits.requires_grad_()

    def gradient(value):
        return torch.autograd.grad(value, logits)[0]

    pi = logits.log_softmax(-1)
    exact = gradient((pi.exp() * (pi - ref)).sum())
    pi = logits.log_softmax(-1)
    torch.testing.assert_close(gradient((old.exp() * kl(pi, ref, old)).sum()), exact)


def test_extreme_ratios_stay_finite():
    """Log-ratios of a thousand give no infinity and no not-a-number, nor do their gradients."""
    logps = torch.tensor([[-1e3, -1.0], [-1.0, -1e3]], requires_grad=True)
    old = torch.tensor([[-1.0, -1e3], [-1e3, -1.0]])
    scored = Scored(logps, old, torch.ones(2, 2), torch.tensor([1.0, 1.0]))
    for name in ("vespo", "grpo", "sapo"):
        objective, _ = LOSSES[name]
        (grad,) = torch.autograd.grad(objective(scored, SimpleNamespace(**OPTIONS)).sum(), logps)
        assert torch.isfinite(grad).all(), name
    assert torch.isfinite(kl(logps, old, old)).all()


def test_clip_fractions_are_where_the_gradient_is_gone():
    """A token counts as clipped exactly where `clipped` has no gradient."""
    logps = torch.tensor([[-0.5, -1.0, -2.0]]).repeat(2, 1).requires_grad_()
    old = torch.full((2, 3), -1.0)
    scored = Scored(logps, old, torch.ones(2, 3), torch.tensor([1.0, -1.0]))
    options = SimpleNamespace(**OPTIONS)
    low, high = clip_fractions(scored, options)
    objective, _ = LOSSES["grpo"]
    (grad,) = torch.autograd.grad(objective(scored, options).sum(), logps)
    assert torch.equal((low + high) == 1, grad == 0)
    assert (low.sum().item(), high.sum().item()) == (1, 1)
