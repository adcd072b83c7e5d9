"""The losses of reward modelling are the formulas of their papers, with their gradients."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sternpost.reward.loss import Pairs, bradley_terry, centring, reward_loss

REWARD = st.floats(-30, 30)
ROWS = st.lists(st.tuples(REWARD, REWARD, st.floats(-5, 5)), min_size=1, max_size=6)


def pairs_of(rows, margin: bool) -> Pairs:
    """Rewards in float64, with gradients."""
    chosen, rejected, margins = (torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True))
    return Pairs(chosen.requires_grad_(), rejected.requires_grad_(), margins if margin else None)


@given(rows=ROWS, margin=st.booleans(), weight=st.none() | st.floats(0, 2))
def test_loss_and_gradient_are_the_papers(rows, margin, weight):
    """`-log(1 / (1 + exp(-(r_w - r_l - m)))) + c (r_w + r_l)^2` for each pair, and its two derivatives."""
    pairs = pairs_of(rows, margin)
    losses = reward_loss(pairs, weight)
    slopes = torch.autograd.grad(losses.sum(), [pairs.chosen, pairs.rejected])
    for at, (chosen, rejected, m) in enumerate(rows):
        difference = chosen - rejected - (m if margin else 0)
        c = weight or 0
        expected = math.log1p(math.exp(-difference)) + c * (chosen + rejected) ** 2
        miss = 1 / (1 + math.exp(difference))  # how likely the wrong answer is to win
        pull = 2 * c * (chosen + rejected)
        assert losses[at].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert slopes[0][at].item() == pytest.approx(-miss + pull, rel=1e-9, abs=1e-12)
        assert slopes[1][at].item() == pytest.approx(miss + pull, rel=1e-9, abs=1e-12)


@given(rows=ROWS, shift=REWARD)
def test_only_differences_count_unless_centred(rows, shift):
    """Bradley-Terry does not see a constant added to all rewards; centring does, and is smallest around zero."""
    moved = [(chosen + shift, rejected + shift, margin) for chosen, rejected, margin in rows]
    torch.testing.assert_close(bradley_terry(pairs_of(moved, True)), bradley_terry(pairs_of(rows, True)))
    centred = [((chosen - rejected) / 2, (rejected - chosen) / 2, margin) for chosen, rejected, margin in rows]
    torch.testing.assert_close(centring(pairs_of(centred, False)), torch.zeros(len(rows), dtype=torch.float64))


def test_equal_rewards_are_a_coin_toss():
    """The loss of a model that cannot tell the answers apart is log 2."""
    assert bradley_terry(pairs_of([(0.7, 0.7, 0.0)], False)).item() == pytest.approx(math.log(2))


def test_extreme_rewards_stay_finite():
    """Neither loss nor gradient overflows in float32."""
    pairs = Pairs(torch.tensor([-1e4, 1e4], requires_grad=True), torch.tensor([1e4, -1e4]))
    losses = bradley_terry(pairs)
    losses.sum().backward()
    assert losses.tolist() == [2e4, 0.0]
    assert pairs.chosen.grad.tolist() == [-1.0, 0.0]
