"""A micro-batch's loss is the sum of its parts, each as its paper has it, whatever is combined with what."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.grpo.loss import LOSSES, Scored, Window
from sternpost.grpo.rollout import Rollout
from sternpost.grpo.step import step

from .test_loss import OPTIONS


@st.composite
def steps(draw):
    """Completions, some replayed, some of whose sampler's log-probabilities are not known."""
    count, width = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    torch.manual_seed(draw(st.integers(0, 2**16)))

    def near(values, spread):
        return values + spread * torch.randn(count, width, dtype=torch.float64)

    lengths = torch.tensor([draw(st.integers(1, width)) for _ in range(count)])
    mask = (torch.arange(width) < lengths[:, None]).double()
    logps = -3 * torch.rand(count, width, dtype=torch.float64)
    old = near(logps, 0.3) if draw(st.booleans()) else None
    sampler = near(logps, 0.6)
    sampler[0, 0] = draw(st.sampled_from([math.nan, -1.0]))
    replayed = (torch.rand(count, 1) < 0.5).double() if draw(st.booleans()) else None
    rollout = Rollout(
        [[1]] * count, [[2] * int(length) for length in lengths], torch.randn(count, dtype=torch.float64), mask,
        sampler if draw(st.booleans()) or replayed is not None else None, replayed, old,
        near(logps, 0.5) if draw(st.booleans()) else None,
    )  # fmt: skip
    options = SimpleNamespace(
        **OPTIONS, loss_type=draw(st.sampled_from(sorted(LOSSES))), beta=0.3,
        use_bias_correction_kl=draw(st.booleans()),
        off_policy_mask_threshold=draw(st.sampled_from([None, 0.1])),
        vllm_importance_sampling_mode=draw(
            st.sampled_from(["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"])
        ),
        vllm_importance_sampling_clip_max=draw(st.sampled_from([None, 1.5])),
        vllm_importance_sampling_clip_min=draw(st.sampled_from([None, 0.5])),
    )  # fmt: skip
    options.importance_sampling_level = draw(st.sampled_from(["token", "sequence"]))
    entropy = torch.rand(count, width, dtype=torch.float64)
    window = Window(torch.tensor(count + 1.0).double(), mask.sum() + 3, 2, width + 1)
    bonus = draw(st.sampled_from([None, 0.4]))
    unsure = (torch.tensor(0.4).double(), torch.tensor(5.0).double()) if draw(st.booleans()) else None
    return logps, entropy, rollout, window, options, rollout.sampler_logps is not None, bonus, unsure


def naive(logps, entropy, rollout, window, o, corrected, bonus, unsure):
    """The same, with loops over completions and tokens around the objective."""
    count, width = logps.shape
    mask, old = rollout.mask, torch.empty_like(logps)
    drawn = torch.empty_like(logps)
    for i in range(count):
        for t in range(width):
            before = logps[i, t].detach() if rollout.old_logps is None else rollout.old_logps[i, t]
            said = None if rollout.sampler_logps is None else rollout.sampler_logps[i, t]
            drawn[i, t] = before if said is None or said.isnan() else said
            old[i, t] = drawn[i, t] if rollout.replayed is not None and rollout.replayed[i, 0] else before
    weights = torch.ones_like(logps)
    for i in range(count):
        places = [t for t in range(width) if mask[i, t]]
        gaps = {t: float(old[i, t] - drawn[i, t]) for t in places}
        for t in places:
            weight = math.exp(sum(gaps.values()) if o.vllm_importance_sampling_mode[:3] == "seq" else gaps[t])
            low = o.vllm_importance_sampling_clip_min or 0.0
            high = o.vllm_importance_sampling_clip_max or math.inf
            if o.vllm_importance_sampling_mode.endswith("truncate"):
                weight = min(max(weight, low), high)
            elif not low <= weight <= high:
                weight = 0.0
            weights[i, t] = weight if corrected else 1.0
    objective, average = LOSSES[o.loss_type]
    folded = None
    if corrected and o.loss_type == "vespo":  # the weight of a sequence is that of all of its tokens together
        whole = o.vllm_importance_sampling_mode[:3] == "seq"
        folded = weights.log() / (mask.sum(1, keepdim=True) if whole else 1)
    each = objective(Scored(logps, old, mask, rollout.advantages, folded), o)
    shares = average(mask, window).expand_as(mask)
    total, surprise = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for i in range(count):
        places = [t for t in range(width) if mask[i, t]]
        far = sum(float(drawn[i, t] - logps[i, t]) for t in places) / len(places)
        dropped = o.off_policy_mask_threshold is not None and rollout.advantages[i] < 0 < far - 0.1
        for t in places:
            learned = unsure is None or entropy[i, t] >= unsure[0]
            term = each[i, t] * (0.0 if dropped or not learned else 1.0)
            if o.loss_type != "vespo":
                term = term * weights[i, t]
            if rollout.ref_logps is not None:
                d = rollout.ref_logps[i, t] - logps[i, t]
                k3 = d.exp() - d - 1
                ratio = (logps[i, t] - old[i, t]).exp()
                term = term + o.beta * (k3 * ratio if o.use_bias_correction_kl else k3)
            total = total + term * shares[i, t]
            if learned:
                surprise = surprise + entropy[i, t]
    if bonus is not None:
        total = total - bonus * surprise / (window.tokens if unsure is None else unsure[1] * window.micro_batches)
    return total


@settings(max_examples=200, deadline=None)
@given(steps())
def test_the_loss_is_the_sum_of_its_parts(problem):
    """Value, and gradient in log-probabilities and entropies."""
    logps, entropy, rollout, window, options, corrected, bonus, unsure = problem
    found = []
    for compute in (lambda *args: step(*args).loss, naive):
        leaves = logps.clone().requires_grad_(), entropy.clone().requires_grad_()
        loss = compute(*leaves, rollout, window, options, corrected, bonus, unsure)
        grads = torch.autograd.grad(loss, leaves, allow_unused=True)
        found.append((loss.detach(), *(torch.zeros_like(logps) if grad is None else grad for grad in grads)))
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_ratio_metrics(level):
    """Of two completions, one token of the first is clipped from below, and one of the second from above."""
    old = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    logps = torch.tensor([[-1.0, 0.0], [2.0, 0.0]])
    rollout = Rollout([[1], [1]], [[2, 3], [2, 3]], torch.tensor([-1.0, 1.0]), torch.ones(2, 2), old_logps=old)
    options = SimpleNamespace(
        **OPTIONS | {"importance_sampling_level": level}, loss_type="grpo", beta=0.0, off_policy_mask_threshold=None
    )
    window = Window(torch.tensor(2.0), torch.tensor(4.0), 1, 2)
    found = step(logps, torch.zeros(2, 2), rollout, window, options, corrected=False)
    share = {name: (total / count).item() for name, (total, count) in found.shares.items()}
    half = 0.5 if level == "sequence" else 0.25
    assert share["clip_ratio/low_mean"] == share["clip_ratio/high_mean"] == half
    assert share["clip_ratio/region_mean"] == 2 * half
    assert found.smallest["clip_ratio/low_min"] == 0
    assert found.largest["clip_ratio/high_max"] == (1.0 if level == "sequence" else 0.5)
